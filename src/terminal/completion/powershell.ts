/**
 * The completion script for PowerShell, 5.1 and later. Words are taken from the syntax tree and sent encoded, because
 * older versions lose empty words and quotes on their way to a program. Nothing is ever given to Invoke-Expression.
 */
import { singleQuoted } from "./quote.ts";
import type { ScriptParts } from "./script.ts";

export function powershellScript({ name, program }: ScriptParts): string {
  const words = program.map((word) => singleQuoted(word, QUOTES));
  return `# Completion of ${name} for PowerShell. In $PROFILE:  ${name} completions --powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName '${name}' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $program = @(${words.join(", ")})
    # What was installed, else what the name stands for.
    if (-not (Test-Path -LiteralPath $program[0] -PathType Leaf)) {
        $found = Get-Command -Name '${name}' -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
        if ($null -eq $found) { return }
        $program = @($found.Source)
    }
    $words = @(foreach ($element in $commandAst.CommandElements) {
        if ($element.Extent.EndOffset -lt $cursorPosition -or $element.Extent.StartOffset -eq $commandAst.Extent.StartOffset) {
            if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $element.Value } else { $element.Extent.Text }
        }
    })
    $words += [string]$wordToComplete
    $encoded = @($words | ForEach-Object { '+' + [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes([string]$_)) })
    $first = @($program | Select-Object -Skip 1)
    $said = @(& $program[0] @first complete --quoting base64 '--' @encoded 2>$null)
    $files = '4'
    $offers = @(foreach ($line in $said) {
        if ($line.StartsWith(':')) { $files = $line.Substring(1); continue }
        $value, $description = $line.Split([char]9, 2)
        if (-not $value.StartsWith($wordToComplete, [StringComparison]::Ordinal)) { continue }
        if (-not $description) { $description = $value }
        $text = if ($value -match '^[A-Za-z0-9_./:=+-]+$') { $value } else { "'" + $value + "'" }
        [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $description)
    })
    # An empty text keeps PowerShell from offering files where none can stand.
    if ($offers.Count -gt 0) { $offers } elseif ($files -eq '4') { '' }
}
`;
}

/** PowerShell takes the typographic ones for quotes too. */
const QUOTES: Readonly<Record<string, string>> = Object.fromEntries(
  ["'", "\u2018", "\u2019", "\u201a", "\u201b"].map((quote) => [quote, quote + quote]),
);
