# bash completion of hiermoe: verbs, their options, and behind "--" whatever the job's command has.
_hiermoe() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[0]} verb=${COMP_WORDS[1]} i
    COMPREPLY=()
    for ((i = 2; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] || continue
        declare -F _command_offset >/dev/null && _command_offset $((i + 1))
        return
    done
    if ((COMP_CWORD == 1)) || [[ $verb == help && $COMP_CWORD == 2 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$command" help 2>/dev/null | sed -n 's/^  \([a-z-]*\) .*/\1/p') help" -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$command" "$verb" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u)" -- "$word")
    else
        compopt -o default
    fi
}
complete -F _hiermoe hiermoe
