; The Windows installer: per user, no administrator. Filled in and compiled by installers/package_windows.py with
;   makensis -DTREE=folder -DOUT=setup.exe -DVERSION=0.1.0 -DVERSION4=0.1.0.0 -DKIBIBYTES=123 -DEXTENSION=ltxproject
;
; Silent:  setup.exe /S [/PACK=folder of an offline pack] [/NOPREPARE] [/D=folder]
;          Uninstall.exe /S [/REMOVE=all]      (silently, models and projects stay unless /REMOVE=all)

Unicode true
Target amd64-unicode
ManifestDPIAware true
ManifestLongPathAware true
RequestExecutionLevel user
; zlib: nearly all of it is compressed already (the wheel, uv), and LZMA takes minutes for a tenth less.
SetCompressor zlib
SetDateSave off

!define NAME "LTX Studio"
!define ID "LTX Studio"
!define CLASS "LTXStudio.Project"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\${ID}"

Name "${NAME}"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\${NAME}"
InstallDirRegKey HKCU "Software\${ID}" "InstallDir"
BrandingText "${NAME} ${VERSION}"

VIProductVersion "${VERSION4}"
VIFileVersion "${VERSION4}"
VIAddVersionKey "ProductName" "${NAME}"
VIAddVersionKey "FileDescription" "${NAME} Setup"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "CompanyName" "The LTX Studio authors"
VIAddVersionKey "LegalCopyright" "Apache License 2.0"

!include MUI2.nsh
!include nsDialogs.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include x64.nsh
!include WinVer.nsh

!define MUI_ICON "${TREE}\icons\ltx-studio.ico"
!define MUI_UNICON "${TREE}\icons\ltx-studio.ico"
!define MUI_ABORTWARNING
!define MUI_FINISHPAGE_RUN "$INSTDIR\LTX Studio.exe"
!define MUI_FINISHPAGE_RUN_NOTCHECKED
!define MUI_FINISHPAGE_NOREBOOTSUPPORT

Var Pack            ; folder of an offline pack, or empty
Var NoPrepare       ; 1: copy files only
Var RemoveModels    ; 1: the user wants them gone
Var RemoveProjects
Var ModelsBox
Var ProjectsBox

!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_LICENSE "${TREE}\LICENSE.txt"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!define MUI_PAGE_CUSTOMFUNCTION_PRE SkipFinishWhenSilent
!insertmacro MUI_PAGE_FINISH

!insertmacro MUI_UNPAGE_CONFIRM
UninstPage custom un.ChooseWhatStays un.ReadWhatStays
!insertmacro MUI_UNPAGE_INSTFILES

!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "German"

LangString NeedsWindows ${LANG_ENGLISH} "LTX Studio needs Windows 10 (version 1809) or later, 64 bit."
LangString NeedsWindows ${LANG_GERMAN} "LTX Studio braucht Windows 10 (Version 1809) oder neuer, 64 Bit."
LangString IsRunning ${LANG_ENGLISH} "LTX Studio is running. Close it, then choose Retry."
LangString IsRunning ${LANG_GERMAN} "LTX Studio läuft noch. Schließen Sie es und wählen Sie dann Wiederholen."
LangString FetchPython ${LANG_ENGLISH} "Fetching Python (25 MB)"
LangString FetchPython ${LANG_GERMAN} "Python wird geholt (25 MB)"
LangString CopyPython ${LANG_ENGLISH} "Copying Python from the offline pack"
LangString CopyPython ${LANG_GERMAN} "Python wird aus dem Offline-Paket kopiert"
LangString NoPython ${LANG_ENGLISH} "Python could not be fetched. Check the network (or a proxy in HTTPS_PROXY) and run the setup again, or use an offline pack that holds Python for Windows."
LangString NoPython ${LANG_GERMAN} "Python konnte nicht geholt werden. Prüfen Sie das Netz (oder einen Proxy in HTTPS_PROXY) und starten Sie die Installation erneut, oder nehmen Sie ein Offline-Paket mit Python für Windows."
LangString Prepare ${LANG_ENGLISH} "Fetching what the window needs (about 150 MB)"
LangString Prepare ${LANG_GERMAN} "Was das Fenster braucht, wird geholt (etwa 150 MB)"
LangString Unpacking ${LANG_ENGLISH} "Checking the offline pack and installing from it"
LangString Unpacking ${LANG_GERMAN} "Das Offline-Paket wird geprüft, dann daraus installiert"
LangString Later ${LANG_ENGLISH} "That could not be finished now. LTX Studio goes on with it when it is started; the details above say why."
LangString Later ${LANG_GERMAN} "Das ließ sich jetzt nicht abschließen. LTX Studio macht beim Start damit weiter; die Gründe stehen oben."
LangString PackFailed ${LANG_ENGLISH} "The offline pack could not be installed; the details say why. Copy the pack again, or choose Cancel in this message and try another disk."
LangString PackFailed ${LANG_GERMAN} "Das Offline-Paket ließ sich nicht installieren; die Gründe stehen in den Einzelheiten. Kopieren Sie das Paket erneut oder nehmen Sie einen anderen Datenträger."
LangString StayTitle ${LANG_ENGLISH} "What may stay"
LangString StayTitle ${LANG_GERMAN} "Was bleiben darf"
LangString StayText ${LANG_ENGLISH} "LTX Studio and its engine are removed. What you fetched and made can stay:"
LangString StayText ${LANG_GERMAN} "LTX Studio und sein Rechenkern werden entfernt. Was Sie geholt und gemacht haben, kann bleiben:"
LangString KeepModels ${LANG_ENGLISH} "Keep the &models (large downloads)"
LangString KeepModels ${LANG_GERMAN} "&Modelle behalten (große Downloads)"
LangString KeepProjects ${LANG_ENGLISH} "Keep &projects, the library and settings"
LangString KeepProjects ${LANG_GERMAN} "&Projekte, Bibliothek und Einstellungen behalten"
LangString OpenFolder ${LANG_ENGLISH} "Open as LTX Studio project"
LangString OpenFolder ${LANG_GERMAN} "Als LTX-Studio-Projekt öffnen"
LangString ProjectType ${LANG_ENGLISH} "LTX Studio project"
LangString ProjectType ${LANG_GERMAN} "LTX-Studio-Projekt"

Function .onInit
  ${IfNot} ${RunningX64}
  ${OrIfNot} ${AtLeastWin10}
    MessageBox MB_OK|MB_ICONSTOP "$(NeedsWindows)" /SD IDOK
    Abort
  ${EndIf}
  ${GetParameters} $0
  ${GetOptions} $0 "/PACK=" $Pack
  StrCpy $NoPrepare 0
  ClearErrors
  ${GetOptions} $0 "/NOPREPARE" $1
  ${IfNot} ${Errors}
    StrCpy $NoPrepare 1
  ${EndIf}
  ; Started from an offline pack, the setup takes everything from there.
  ${If} $Pack == ""
  ${AndIf} ${FileExists} "$EXEDIR\..\pack.json"
    GetFullPathName $Pack "$EXEDIR\.."
  ${EndIf}
FunctionEnd

Function SkipFinishWhenSilent
  IfSilent 0 +2
    Abort
FunctionEnd

Section "LTX Studio"
  SetOutPath "$INSTDIR"
  ; A running studio holds its launcher open; overwriting it would fail half way.
  ${If} ${FileExists} "$INSTDIR\LTX Studio.exe"
    retry:
    ClearErrors
    FileOpen $0 "$INSTDIR\LTX Studio.exe" a
    ${If} ${Errors}
      MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(IsRunning)" /SD IDCANCEL IDRETRY retry
      Abort "$(IsRunning)"
    ${EndIf}
    FileClose $0
  ${EndIf}
  ; Of an earlier version nothing may be left but its Python.
  RMDir /r "$INSTDIR\kit\installers"
  RMDir /r "$INSTDIR\kit\ltx_studio"
  RMDir /r "$INSTDIR\kit\wheels"
  File /r "${TREE}\*.*"
  WriteUninstaller "$INSTDIR\Uninstall.exe"

  WriteRegStr HKCU "Software\${ID}" "InstallDir" "$INSTDIR"
  WriteRegStr HKCU "Software\${ID}" "Version" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "${NAME}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\icons\ltx-studio.ico"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "The LTX Studio authors"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\Uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\Uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "EstimatedSize" ${KIBIBYTES}
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1

  CreateShortcut "$SMPROGRAMS\${NAME}.lnk" "$INSTDIR\LTX Studio.exe" "" "$INSTDIR\icons\ltx-studio.ico"

  ; Project files, and folders that are projects.
  WriteRegStr HKCU "Software\Classes\.${EXTENSION}" "" "${CLASS}"
  WriteRegStr HKCU "Software\Classes\.${EXTENSION}\OpenWithProgids" "${CLASS}" ""
  WriteRegStr HKCU "Software\Classes\${CLASS}" "" "$(ProjectType)"
  WriteRegStr HKCU "Software\Classes\${CLASS}\DefaultIcon" "" "$INSTDIR\icons\ltx-studio-project.ico"
  WriteRegStr HKCU "Software\Classes\${CLASS}\shell\open\command" "" '"$INSTDIR\LTX Studio.exe" "%1"'
  WriteRegStr HKCU "Software\Classes\Directory\shell\${CLASS}" "" "$(OpenFolder)"
  WriteRegStr HKCU "Software\Classes\Directory\shell\${CLASS}" "Icon" "$INSTDIR\icons\ltx-studio.ico"
  WriteRegStr HKCU "Software\Classes\Directory\shell\${CLASS}" "Extended" ""  ; with Shift, so as not to crowd the menu
  WriteRegStr HKCU "Software\Classes\Directory\shell\${CLASS}\command" "" '"$INSTDIR\LTX Studio.exe" "%1"'
  System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'

  ${If} $NoPrepare == 1
    Return
  ${EndIf}
  Call EnsurePython
  ${If} $Pack != ""
    DetailPrint "$(Unpacking)"
    nsExec::ExecToLog '"$INSTDIR\kit\python\python.exe" -I "$INSTDIR\unpack.py" "$Pack"'
    Pop $0
    ${If} $0 != 0
      MessageBox MB_OK|MB_ICONEXCLAMATION "$(PackFailed)" /SD IDOK
      SetErrorLevel 3
    ${EndIf}
  ${Else}
    DetailPrint "$(Prepare)"
    nsExec::ExecToLog '"$INSTDIR\kit\python\python.exe" -I "$INSTDIR\kit\installers\install.py" shell'
    Pop $0
    ${If} $0 != 0
      DetailPrint "$(Later)"
    ${EndIf}
  ${EndIf}
SectionEnd

; Python is in the package, or in the offline pack, or uv fetches it. It lies inside our folder, so that nothing of it
; stays behind, and is moved to where the launchers look for it.
Function EnsurePython
  ${If} ${FileExists} "$INSTDIR\kit\python\python.exe"
    Return
  ${EndIf}
  ${If} $Pack != ""
  ${AndIf} ${FileExists} "$Pack\python\windows\python.exe"
    DetailPrint "$(CopyPython)"
    CopyFiles /SILENT "$Pack\python\windows\*.*" "$INSTDIR\kit\python"
    Return
  ${EndIf}
  DetailPrint "$(FetchPython)"
  RMDir /r "$INSTDIR\kit\python.new"
  nsExec::ExecToLog '"$INSTDIR\kit\bin\uv.exe" --no-config python install --no-bin --install-dir "$INSTDIR\kit\python.new" 3.11'
  Pop $0
  FindFirst $1 $2 "$INSTDIR\kit\python.new\cpython-3.11*"
  FindClose $1
  ${If} $0 == 0
  ${AndIf} $2 != ""
    Rename "$INSTDIR\kit\python.new\$2" "$INSTDIR\kit\python"
  ${EndIf}
  RMDir /r "$INSTDIR\kit\python.new"
  ${IfNot} ${FileExists} "$INSTDIR\kit\python\python.exe"
    MessageBox MB_OK|MB_ICONEXCLAMATION "$(NoPython)" /SD IDOK
    SetErrorLevel 3
    Abort "$(NoPython)"
  ${EndIf}
FunctionEnd

Function un.onInit
  StrCpy $RemoveModels 0
  StrCpy $RemoveProjects 0
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/REMOVE=" $1
  ${If} $1 == "all"
    StrCpy $RemoveModels 1
    StrCpy $RemoveProjects 1
  ${EndIf}
FunctionEnd

Function un.ChooseWhatStays
  !insertmacro MUI_HEADER_TEXT "$(StayTitle)" "$(StayText)"
  nsDialogs::Create 1018
  Pop $0
  ${NSD_CreateCheckbox} 0 8u 100% 12u "$(KeepModels)"
  Pop $ModelsBox
  ${NSD_Check} $ModelsBox
  ${NSD_CreateCheckbox} 0 26u 100% 12u "$(KeepProjects)"
  Pop $ProjectsBox
  ${NSD_Check} $ProjectsBox
  nsDialogs::Show
FunctionEnd

Function un.ReadWhatStays
  ${NSD_GetState} $ModelsBox $0
  ${If} $0 != ${BST_CHECKED}
    StrCpy $RemoveModels 1
  ${EndIf}
  ${NSD_GetState} $ProjectsBox $0
  ${If} $0 != ${BST_CHECKED}
    StrCpy $RemoveProjects 1
  ${EndIf}
FunctionEnd

Section "Uninstall"
  ${If} ${FileExists} "$INSTDIR\kit\python\python.exe"
    StrCpy $1 ""
    ${If} $RemoveModels == 0
    ${AndIf} $RemoveProjects == 0
      StrCpy $1 "--keep models,projects"
    ${ElseIf} $RemoveModels == 0
      StrCpy $1 "--keep models"
    ${ElseIf} $RemoveProjects == 0
      StrCpy $1 "--keep projects"
    ${EndIf}
    nsExec::ExecToLog '"$INSTDIR\kit\python\python.exe" -I "$INSTDIR\kit\installers\install.py" uninstall $1'
    Pop $0
  ${EndIf}

  RMDir /r "$INSTDIR\kit"
  RMDir /r "$INSTDIR\icons"
  RMDir /r "$INSTDIR\__pycache__"
!include "${TREE_FILES}"
  Delete "$INSTDIR\Uninstall.exe"
  RMDir "$INSTDIR"  ; only when nothing of the user's lies in it

  Delete "$SMPROGRAMS\${NAME}.lnk"
  DeleteRegKey HKCU "${UNINSTALL_KEY}"
  DeleteRegKey HKCU "Software\Classes\${CLASS}"
  DeleteRegKey HKCU "Software\Classes\Directory\shell\${CLASS}"
  DeleteRegValue HKCU "Software\Classes\.${EXTENSION}\OpenWithProgids" "${CLASS}"
  ReadRegStr $0 HKCU "Software\Classes\.${EXTENSION}" ""
  ${If} $0 == "${CLASS}"
    DeleteRegKey HKCU "Software\Classes\.${EXTENSION}"
  ${EndIf}
  DeleteRegKey HKCU "Software\${ID}"
  System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'
SectionEnd
