#compdef PROGRAM
# Completion of PROGRAM for zsh: keep this file as _PROGRAM in a folder of $fpath, or source it
# after compinit.
_FUNCTION() {
    local -a lines rows glue
    local line text
    lines=("${(@f)$(PROGRAM __complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in "${(@)lines[1,-2]}"; do
        text=${line%%$'\t'*}
        rows+=("${text//:/\\:}:${line#*$'\t'}")
    done
    [[ $lines[-1] == *nospace* ]] && glue=(-S '')
    (( $#rows )) && _describe -V 'PROGRAM' rows "${glue[@]}"
    case $lines[-1] in
        :files*) compset -P '--*='; _files ;;
        :folders*) compset -P '--*='; _files -/ ;;
    esac
}
if [[ $funcstack[1] == _PROGRAM ]]; then
    _FUNCTION "$@"
else
    compdef _FUNCTION PROGRAM
fi
