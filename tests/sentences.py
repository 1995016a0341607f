"""Every sentence of the window, as the code has it, for those who translate and for the test of their files.

    python -m tests.sentences es        # what is missing in a language and what is no longer said, as JSON

Sentences stand in calls of `tr` and `QCoreApplication.translate`, and in the tables of commands, panels and settings.
"""

import ast
import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Calls whose sentence is in a table that `of_tables` reads.
OF_TABLES = {
    "ltx_studio/ui/actions.py": {"title", "command.text"},
    "ltx_studio/ui/docks.py": {"panel.title"},
    "ltx_studio/ui/settings_page.py": {"page", "words.label", "words.help", "option.label", "unit"}
    | {"self._words.page", "self._words.label", "self._words.help"},
}


def sentences() -> set[str]:
    """All of them, in English."""
    return {text for _, text in of_code()} | set(of_tables())


def of_code() -> Iterator[tuple[str, str]]:
    """File and sentence of every call that has its sentence in it. Raises ValueError for one that hides it."""
    for path in sorted((ROOT / "ltx_studio").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said = _said(node)
            if said is None:
                continue
            texts = list(_texts(said))
            if not texts and ast.unparse(said) not in OF_TABLES.get(name, {"text"}) | {"text"}:
                raise ValueError(f"{name}:{said.lineno}: a sentence that no translator will find: {ast.unparse(said)}")
            for text in texts:
                yield name, text


def _said(node: ast.AST) -> ast.expr | None:
    """What a call translates; None for other nodes."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in {"tr", "_tr"}:
        return node.args[0]
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    if called == "translate" and isinstance(owner, ast.Name) and owner.id == "QCoreApplication":
        return node.args[1]
    return None


def _texts(said: ast.expr) -> Iterator[str]:
    match said:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=first, orelse=second):
            yield from _texts(first)
            yield from _texts(second)
        case _:
            return


def of_tables() -> Iterator[str]:
    """Sentences of commands, panels and settings."""
    from ltx_studio.settings import SETTINGS, Amount, OneOf, Page
    from ltx_studio.ui.actions import MENUS
    from ltx_studio.ui.docks import PANELS, commands_with

    yield from MENUS
    yield from (command.text for command in commands_with(PANELS))
    yield from (panel.title for panel in PANELS)
    yield from (page.value for page in Page)
    for setting in SETTINGS:
        if setting.words is not None:
            yield from (setting.words.label, setting.words.help)
        if isinstance(setting, OneOf):
            yield from (option.label for option in setting.options)
        if isinstance(setting, Amount) and setting.unit:
            yield setting.unit


def table(language: str) -> dict[str, str]:
    """What a language's file holds; nothing where there is none yet."""
    file = files("resources") / "translations" / f"{language}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def main() -> None:
    translated = {key.rpartition("|")[2] for key in table(sys.argv[1])}
    needed = sentences()
    found = {"missing": sorted(needed - translated), "stale": sorted(translated - needed)}
    sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
