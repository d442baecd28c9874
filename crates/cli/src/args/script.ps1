# Completion of PROGRAM for PowerShell: put `PROGRAM completion powershell | Out-String | Invoke-Expression` into $PROFILE
Register-ArgumentCompleter -Native -CommandName 'PROGRAM' -ScriptBlock {
    param($typed, $line, $cursor)
    $words = @($line.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.StartOffset -lt $cursor } | ForEach-Object { "$_" })
    if (-not $typed) {
        # Before 7.3 an empty word is lost on its way to a program, unless it is quoted.
        $words += $(if ($PSVersionTable.PSVersion -ge [version]'7.3') { '' } else { '""' })
    }
    $lines = @(& 'PROGRAM' __complete -- @words 2>$null)
    if ($lines.Count -eq 0) { return }
    foreach ($found in ($lines | Select-Object -SkipLast 1)) {
        $text, $about = $found -split "`t", 2
        if (-not $about) { $about = $text }
        [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $about)
    }
    $flag = if ($typed -match '^--[^=]*=') { $Matches[0] } else { '' }
    $path = $typed.Substring($flag.Length)
    $names = switch -Wildcard ($lines[-1]) {
        ':files*' { Get-ChildItem -Path "$path*" -ErrorAction SilentlyContinue }
        ':folders*' { Get-ChildItem -Path "$path*" -Directory -ErrorAction SilentlyContinue }
    }
    foreach ($name in $names) {
        $text = $flag + (Join-Path (Split-Path "$path.") $name.Name)
        [System.Management.Automation.CompletionResult]::new($text, $text, 'ProviderItem', $text)
    }
}
