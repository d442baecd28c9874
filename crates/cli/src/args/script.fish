# Completion of PROGRAM for fish: keep this file as ~/.config/fish/completions/PROGRAM.fish
function __FUNCTION_complete
    set -l typed (commandline -ct)
    set -l words (commandline -opc) $typed
    set -q typed[1]; or set -a words ''
    set -l lines (PROGRAM __complete -- $words[2..-1] 2>/dev/null)
    set -q lines[1]; or return
    for line in $lines[1..-2]
        echo $line
    end
    set -l flag (string match -r -- '^--[^=]*=' "$typed"; or echo)
    set -l path (string replace -r -- '^--[^=]*=' '' "$typed")
    set -l names
    switch $lines[-1]
        case ':files*'
            set names (__fish_complete_path $path)
        case ':folders*'
            set names (__fish_complete_directories $path '')
    end
    for name in $names
        echo $flag$name
    end
end
complete -c PROGRAM -f -a '(__FUNCTION_complete)'
