# Completion of PROGRAM for bash: source this file, or keep it as
# ~/.local/share/bash-completion/completions/PROGRAM
_FUNCTION() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() found=() gap word about i
    # bash cuts words at ':' and '='; what was typed without a blank between belongs together.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        gap=${rest%%[![:space:]]*}
        rest=${rest:${#gap}}
        ((i == COMP_CWORD)) && word=$rest
        rest=${rest:${#word}}
        if [[ -z $gap ]] && ((i > 0)); then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
    done

    # What stands in quotes is not cut.
    local typed=${words[${#words[@]} - 1]} cuts=${COMP_WORDBREAKS//[^:=]/} directive=
    [[ $typed == [\"\']* ]] && cuts=
    words=("${words[@]//[\\\"\']/}")
    typed=${words[${#words[@]} - 1]}
    while IFS=$'\t' read -r word about; do
        case $word in
            :*) directive=$word ;;
            *) found+=("$word") ;;
        esac
    done < <(PROGRAM __complete -- "${words[@]:1}" 2>/dev/null)

    local flag= names=()
    [[ $typed == --*=* ]] && flag=${typed%%=*}=
    case $directive in
        *files*) mapfile -t names < <(compgen -f -- "${typed#"$flag"}") ;;
        *folders*) mapfile -t names < <(compgen -d -- "${typed#"$flag"}") ;;
    esac
    ((${#names[@]})) && compopt -o filenames 2>/dev/null
    [[ $directive == *nospace* ]] && compopt -o nospace 2>/dev/null
    for word in "${names[@]}"; do
        found+=("$flag$word")
    done

    # bash replaces only what follows its last cut.
    local tail=$typed
    [[ -n $cuts ]] && tail=${typed##*[$cuts]}
    COMPREPLY=("${found[@]#"${typed%"$tail"}"}")
}
complete -F _FUNCTION PROGRAM
