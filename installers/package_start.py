"""What a package's launcher starts: the studio, after a small window that shows how the first stage arrives.

A package lays this file beside its kit as `start.py`. Until the first stage is there, there is no Qt to show anything
with: tkinter does where Python has it, zenity where a desktop has that, and the terminal else. Once the stage is ready
this becomes `install.py launch` in the same process and costs one look at a small file.

Standard library only. Not here: fetching and installing (`install.py`), and choosing an engine, which the studio's own
first page does.
"""

import contextlib
import json
import os
import queue
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

HERE = Path(__file__).resolve().parent
KIT = HERE / "kit"
INSTALLER = KIT / "installers" / "install.py"
sys.path.insert(0, str(KIT))

from ltx_studio.installation.layout import default_data_folder, default_home  # noqa: E402 - found in the kit
from ltx_studio.installation.messages import Done, Failed, Message, Planned, Progress, Step, Stopped, from_line  # noqa: E402
from ltx_studio.installation.state import Record  # noqa: E402

TITLE = "LTX Studio"
MENU_ENTRY = "ltx-studio.desktop"
_ICON_PIXELS = (16, 32, 48, 128, 256)
_STEPS = {
    Step.WAITING: "Waiting for another start of LTX Studio",
    Step.FETCHING: "Fetching what the window needs",
    Step.INSTALLING: "Installing",
    Step.VERIFYING: "Checking every file",
    Step.TESTING: "Trying it out",
    Step.REPAIRING: "Mending",
    Step.REMOVING: "Removing",
}


class View(Protocol):
    """Something a person can look at. `run` returns whether the stage is ready."""

    def run(self, work: "Work") -> bool: ...


class Work:
    """The installer's process and what it says; every method but `read` is for the thread of the view."""

    def __init__(self, command: Sequence[str]) -> None:
        self.messages: queue.Queue[Message | None] = queue.Queue()
        flags: dict[str, Any] = {"creationflags": 0x0800_0000} if os.name == "nt" else {}  # CREATE_NO_WINDOW
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", **flags
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: IO[str] = self._process.stdin
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                message = from_line(line)
                if message is not None:
                    self.messages.put(message)
        self.messages.put(None)

    def stop(self) -> None:
        """What is there stays; the next start goes on from it."""
        with contextlib.suppress(OSError, ValueError):
            self._input.write("stop\n")
            self._input.close()

    def wait(self) -> int:
        code = self._process.wait()
        self._reader.join()
        with contextlib.suppress(OSError):
            self._input.close()
        return code


def describe(message: Message) -> tuple[str, float | None]:
    """A sentence, and how far the step is in percent where that is known."""
    match message:
        case Planned():
            return f"{message.fetch_bytes / 1e6:.0f} MB to fetch, once", 0.0
        case Progress(_, step, name, done, total, _, left_s):
            words = _STEPS[step]
            if step is Step.FETCHING and total:
                words += f": {done / 1e6:.0f} of {total / 1e6:.0f} MB"
                if left_s is not None:
                    words += f", {duration(left_s)} left"
            elif name and step is Step.INSTALLING:
                words += f" {name}"
            return words, 100 * done / total if total else None
        case Failed(_, text, remedy):
            return f"{text} {remedy}".rstrip(), None
        case _:
            return "", None


def duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


# --- Views


class TkView:
    """A small window with a bar and a button."""

    def __init__(self) -> None:
        import tkinter  # noqa: PLC0415 - many systems' Pythons come without it
        from tkinter import ttk  # noqa: PLC0415

        self._root = tkinter.Tk(className="ltx-studio")
        self._root.title(TITLE)
        self._root.resizable(width=False, height=False)
        icons = [HERE / "icons" / f"ltx-studio-{pixels}.png" for pixels in _ICON_PIXELS]
        self._images = [tkinter.PhotoImage(file=str(path)) for path in icons if path.is_file()]  # Tk keeps none itself
        if self._images:
            self._root.iconphoto(True, *self._images)
        if sys.platform.startswith("linux"):
            style = ttk.Style(self._root)
            style.theme_use("clam")  # what Tk has elsewhere is the system's own
            style.configure("Horizontal.TProgressbar", background="#1d5fc4")
        frame = ttk.Frame(self._root, padding=24)
        frame.grid()
        if self._images:
            mark = next((image for image in self._images if image.width() >= 48), self._images[-1])
            ttk.Label(frame, image=mark).grid(row=0, column=0, rowspan=2, padx=(0, 16), sticky="n")
        self._heading = ttk.Label(frame, text="Getting LTX Studio ready", font=("TkDefaultFont", 12, "bold"))
        self._heading.grid(row=0, column=1, columnspan=2, sticky="w")
        self._words = ttk.Label(frame, text="One moment", wraplength=420, justify="left")
        self._words.grid(row=1, column=1, columnspan=2, sticky="w", pady=(4, 0))
        self._bar = ttk.Progressbar(frame, length=420, mode="indeterminate")
        self._bar.grid(row=2, column=1, columnspan=2, pady=12)
        self._bar.start(30)
        self._again = ttk.Button(frame, text="Try again", command=self._try_again)
        self._close = ttk.Button(frame, text="Stop", command=self._stop)
        self._close.grid(row=3, column=2, sticky="e")
        self._root.protocol("WM_DELETE_WINDOW", self._stop)
        self._root.bind("<Escape>", lambda _event: self._stop())
        self._root.update_idletasks()
        left = (self._root.winfo_screenwidth() - self._root.winfo_reqwidth()) // 2
        above = (self._root.winfo_screenheight() - self._root.winfo_reqheight()) // 3
        self._root.geometry(f"+{left}+{above}")
        self._work: Work | None = None
        self._is_ready = self._is_stopping = self._wants_again = False

    def run(self, work: Work) -> bool:
        start = work
        while True:
            self._work, self._is_stopping, self._wants_again = start, False, False
            self._root.after(100, self._look)
            self._root.mainloop()
            if not self._wants_again:
                break
            start = Work(shell_command())
            self._again.grid_remove()
            self._close.configure(text="Stop")
            self._heading.configure(text="Getting LTX Studio ready")
        with contextlib.suppress(Exception):  # the user may have closed it already, which Tk answers with an error
            self._root.destroy()
        return self._is_ready

    def _look(self) -> None:
        assert self._work is not None
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._work.messages.get_nowait()
                if message is None:
                    self._ended(self._work.wait())
                    return
                self._show(message)
        self._root.after(100, self._look)

    def _show(self, message: Message) -> None:
        words, percent = describe(message)
        if isinstance(message, Failed):
            self._heading.configure(text="LTX Studio could not be made ready")
        if words:
            self._words.configure(text=words)
        if isinstance(message, Done | Stopped):
            return
        if percent is None:
            self._bar.configure(mode="indeterminate")
            self._bar.start(30)
        else:
            self._bar.stop()
            self._bar.configure(mode="determinate", value=percent)

    def _ended(self, code: int) -> None:
        self._work = None
        self._bar.stop()
        self._is_ready = code == 0
        if self._is_ready or self._is_stopping:
            self._root.quit()
            return
        self._bar.configure(mode="determinate", value=0)
        self._close.configure(text="Close")
        self._again.grid(row=3, column=1, sticky="e", padx=(0, 8))
        self._again.focus_set()

    def _try_again(self) -> None:
        self._wants_again = True
        self._root.quit()

    def _stop(self) -> None:
        if self._work is None:
            self._root.quit()
            return
        self._is_stopping = True
        self._words.configure(text="Stopping; the next start goes on from here")
        self._work.stop()


class ZenityView:
    """A desktop's own progress dialog, fed on its standard input."""

    def __init__(self, program: str) -> None:
        self._program = program

    def run(self, work: Work) -> bool:
        options = ["--progress", "--no-markup", f"--title={TITLE}", "--text=Getting LTX Studio ready", "--auto-close"]
        dialog = subprocess.Popen([self._program, *options, "--width=480"], stdin=subprocess.PIPE, encoding="utf-8")
        assert dialog.stdin is not None
        failure = ""
        while (message := work.messages.get()) is not None:
            words, percent = describe(message)
            if isinstance(message, Failed):
                failure = words
            try:
                # 100 would close the dialog before everything is done
                dialog.stdin.write(f"{min(99, round(percent or 0))}\n# {words}\n" if words else "")
                dialog.stdin.flush()
            except OSError:  # the user pressed its button
                work.stop()
        code = work.wait()
        with contextlib.suppress(OSError):
            dialog.stdin.close()
        dialog.wait()
        if failure and code != 0:
            subprocess.run(
                [self._program, "--error", "--no-markup", f"--title={TITLE}", f"--text={failure}"], check=False
            )
        return code == 0


class TerminalView:
    """Lines on stderr, one for each new sentence."""

    def run(self, work: Work) -> bool:
        before = ""
        while (message := work.messages.get()) is not None:
            words, percent = describe(message)
            line = f"{words.partition(':')[0]}{'' if percent is None else f' {percent // 10 * 10:.0f} %'}"
            if isinstance(message, Failed):
                line = words
            if words and line != before:
                print(f"[ltx-studio] {line}", file=sys.stderr, flush=True)
                before = line
        return work.wait() == 0


def find_view(*, has_display: bool) -> View:
    if not has_display:
        return TerminalView()
    try:
        return TkView()
    except Exception as error:  # ImportError, or Tk's own kind when it finds no display
        print(f"[ltx-studio] no window before the studio's own: {error}", file=sys.stderr)
    zenity = shutil.which("zenity")
    return TerminalView() if zenity is None else ZenityView(zenity)


def has_display() -> bool:
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# --- Verbs


def shell_command() -> list[str]:
    return [sys.executable, "-I", str(INSTALLER), "shell", "--json", "--attended"]


def is_shell_ready() -> bool:
    """Whether a window can open now; anything unclear is the installer's business."""
    try:
        slot = Record(default_home()).read().shell
    except Exception:  # whatever is wrong with the record, the installer says it in a sentence
        return True
    return slot.is_usable


def launch(arguments: Sequence[str]) -> int:
    """Become the studio. Never returns where the system can replace a process."""
    sys.argv = [str(INSTALLER), "launch", *(["--", *arguments] if arguments else [])]
    return _exit_code(lambda: runpy.run_path(str(INSTALLER), run_name="__main__"))


def _exit_code(call: Callable[[], object]) -> int:
    try:
        call()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return int(end.code or 0)
    return 0


def uninstall(arguments: Sequence[str]) -> int:
    """Without more arguments models and projects stay."""
    options = list(arguments) or ["--keep", "models,projects"]
    code = subprocess.run([sys.executable, "-I", str(INSTALLER), "uninstall", *options], check=False).returncode
    if code == 0 and sys.platform.startswith("linux"):
        remove_from_menu()
    return code


def _share() -> Path:
    share = os.environ.get("XDG_DATA_HOME", "").strip()
    return Path(share) if share else Path.home() / ".local" / "share"


def add_to_menu() -> int:
    """A desktop entry, icons and the project's file type, for this user."""
    share = _share()
    entry = (HERE / "share" / MENU_ENTRY).read_text(encoding="utf-8")
    program = str(HERE / "ltx-studio")
    # In a desktop entry a backslash and a double quote inside quotes are written with a backslash before them.
    quoted = program.replace("\\", r"\\\\").replace('"', r"\"").replace("$", r"\\$").replace("`", r"\\`")
    _write(share / "applications" / MENU_ENTRY, entry.replace("@EXEC@", f'"{quoted}"').replace("@TRYEXEC@", program))
    _write(
        share / "mime" / "packages" / "ltx-studio.xml",
        (HERE / "share" / "ltx-studio.xml").read_text(encoding="utf-8"),
    )
    for icon in sorted((HERE / "icons").glob("*.png")):
        stem, _, pixels = icon.stem.rpartition("-")
        kind = "mimetypes" if stem.endswith("-project") else "apps"
        target = share / "icons" / "hicolor" / f"{pixels}x{pixels}" / kind / f"{stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(icon, target)
    _refresh_menu(share)
    print(f"LTX Studio is in the menu ({share / 'applications' / MENU_ENTRY}).")
    return 0


def remove_from_menu() -> int:
    share = _share()
    entry = share / "applications" / MENU_ENTRY
    if entry.is_file() and str(HERE) in entry.read_text(encoding="utf-8"):  # not that of another copy
        entry.unlink()
        (share / "mime" / "packages" / "ltx-studio.xml").unlink(missing_ok=True)
        for icon in (share / "icons" / "hicolor").glob("*/*/ltx-studio*.png"):
            icon.unlink()
        _refresh_menu(share)
    return 0


def _refresh_menu(share: Path) -> None:
    for name, folder in (("update-desktop-database", "applications"), ("update-mime-database", "mime")):
        program = shutil.which(name)
        if program is not None and (share / folder).is_dir():
            subprocess.run([program, str(share / folder)], capture_output=True, check=False)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def where() -> int:
    """For support: what lies where."""
    print(json.dumps({"package": str(HERE), "home": str(default_home()), "data": str(default_data_folder())}))
    return 0


def main(arguments: Sequence[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    match verb:
        case "--uninstall":
            return uninstall(rest)
        case "--add-to-menu" if sys.platform.startswith("linux"):
            return add_to_menu()
        case "--remove-from-menu" if sys.platform.startswith("linux"):
            return remove_from_menu()
        case "--unpack":
            return subprocess.run([sys.executable, "-I", str(HERE / "unpack.py"), *rest], check=False).returncode
        case "--where":
            return where()
        case _:
            pass
    if not is_shell_ready() and not find_view(has_display=has_display()).run(Work(shell_command())):
        return 1
    return launch(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
