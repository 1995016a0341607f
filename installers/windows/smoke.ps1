# In continuous integration, on Windows: install silently, both stages, a clip, the window; then uninstall and look for rests.
# usage: smoke.ps1 FOLDER-WITH-PACKAGES
param([Parameter(Mandatory)] [string] $Packages)
$ErrorActionPreference = "Stop"
$PSNativeCommandUseErrorActionPreference = $true
$work = New-Item -ItemType Directory (Join-Path $env:RUNNER_TEMP "smoke")
$env:LTX_STUDIO_HOME = Join-Path $work "home"
$place = Join-Path $work "LTX Studio"

$setup = Get-ChildItem (Join-Path $Packages "*-setup.exe")
$install = Start-Process $setup.FullName -ArgumentList "/S", "/D=$place" -Wait -PassThru
if ($install.ExitCode -ne 0) { throw "setup ended with $($install.ExitCode)" }
foreach ($name in "LTX Studio.exe", "ltx-studio-cli.exe", "Uninstall.exe", "kit\python\python.exe") {
    if (-not (Test-Path (Join-Path $place $name))) { throw "$name is missing" }
}
if (-not (Test-Path "$env:APPDATA\Microsoft\Windows\Start Menu\Programs\LTX Studio.lnk")) { throw "no Start menu entry" }
$class = (Get-ItemProperty "HKCU:\Software\Classes\.ltxproject")."(default)"
if ($class -ne "LTXStudio.Project") { throw "the file association is $class" }

$python = Join-Path $place "kit\python\python.exe"
$installer = Join-Path $place "kit\installers\install.py"
& $python -I $installer shell
& $python -I $installer engine --target windows-cpu
& (Join-Path $place "ltx-studio-cli.exe") doctor
$clip = Join-Path $work "clip.mp4"
& (Join-Path $place "ltx-studio-cli.exe") generate "a red ball rolls on grass" --seconds 1 -o $clip --progress none
if ((Get-Item $clip).Length -eq 0) { throw "the clip is empty" }

$window = Start-Process (Join-Path $place "LTX Studio.exe") -PassThru
Start-Sleep 20
if ($window.HasExited) { throw "the window closed by itself with $($window.ExitCode)" }
taskkill /T /F /PID $window.Id | Out-Null
Start-Sleep 3

# _?= keeps the uninstaller from running a copy of itself that nobody could wait for.
$remove = Start-Process (Join-Path $place "Uninstall.exe") -ArgumentList "/S", "/REMOVE=all", "_?=$place" -Wait -PassThru
if ($remove.ExitCode -ne 0) { throw "uninstalling ended with $($remove.ExitCode)" }
$rests = Get-ChildItem -Recurse -File $place -ErrorAction SilentlyContinue | Where-Object Name -ne "Uninstall.exe"
if ($rests) { throw "left behind: $($rests.FullName -join ', ')" }
if (Test-Path (Join-Path $env:LTX_STUDIO_HOME "installation")) { throw "the installation is left behind" }
if (Test-Path "HKCU:\Software\Classes\LTXStudio.Project") { throw "the file association is left behind" }
Write-Output "The package works."
