# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Completion of dma-shell's command line for bash.

_dma_shell()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} line

	COMPREPLY=()
	case $before in
	-f | --cmdline-file)
		while read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word")
		return
		;;
	-c | --commands)
		return
		;;
	esac
	while read -r line; do COMPREPLY+=("$line"); done < <(compgen -W "--commands --cmdline-file
		--interactive --device --json --help dma_cbdma0 dma_skeleton0" -- "$word")
} &&
	complete -F _dma_shell dma-shell
