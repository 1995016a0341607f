"""What the library's marks, choices and entries are called. Whole sentences with named places."""

from PySide6.QtCore import QCoreApplication, QDateTime, QLocale

from ltx_studio.domain.library import Entry, Flag, Kind, Label, Order, Place, Verdict
from ltx_studio.ui import words


def tr(text: str) -> str:
    return QCoreApplication.translate("library", text)


def label_name(label: Label) -> str:
    return {
        Label.NONE: tr("No colour"),
        Label.RED: tr("Red"),
        Label.ORANGE: tr("Orange"),
        Label.YELLOW: tr("Yellow"),
        Label.GREEN: tr("Green"),
        Label.TEAL: tr("Teal"),
        Label.BLUE: tr("Blue"),
        Label.PURPLE: tr("Purple"),
        Label.PINK: tr("Pink"),
    }[label]


def order_name(order: Order) -> str:
    return {
        Order.NEWEST: tr("Newest first"),
        Order.OLDEST: tr("Oldest first"),
        Order.RATING: tr("Best rated first"),
        Order.NAME: tr("By file name"),
        Order.LONGEST: tr("Longest first"),
    }[order]


def place_name(place: Place) -> str:
    return {
        Place.LIBRARY: tr("All clips"),
        Place.MISSING: tr("Missing files"),
        Place.TRASH: tr("In the trash"),
    }[place]


def verdict_name(verdict: Verdict) -> str:
    return {
        Verdict.ANY: tr("Any mark"),
        Verdict.PICKED: tr("Picked"),
        Verdict.NOT_REJECTED: tr("Not rejected"),
        Verdict.REJECTED: tr("Rejected"),
    }[verdict]


def min_rating_name(rating: int) -> str:
    if rating == 0:
        return tr("Any rating")
    if rating == 5:
        return tr("5 stars")
    return tr("1 star or more") if rating == 1 else tr("{stars} stars or more").format(stars=rating)


def rating_name(rating: int) -> str:
    if rating == 0:
        return tr("Not rated")
    return tr("1 star") if rating == 1 else tr("{stars} stars").format(stars=rating)


def count(number: int, total: int) -> str:
    """How many of the library's entries are shown."""
    locale = QLocale()
    if number == total:
        return tr("1 clip") if total == 1 else tr("{number} clips").format(number=locale.toString(total))
    return tr("{number} of {total}").format(number=locale.toString(number), total=locale.toString(total))


def title(entry: Entry) -> str:
    """The prompt on one line, or the file's name where there is none."""
    return " ".join(entry.facts.prompt.split()) or entry.path.name


def length(entry: Entry) -> str:
    return words.duration(entry.facts.duration_s)


def spoken(entry: Entry, num_takes: int) -> str:
    """An entry as a screen reader says it."""
    facts, marks = entry.facts, entry.marks
    parts = [title(entry), tr("sound") if facts.kind is Kind.SOUND else "", length(entry)]
    parts.append(rating_name(marks.rating))
    parts.append({Flag.PICK: tr("picked"), Flag.REJECT: tr("rejected"), Flag.NONE: ""}[marks.flag])
    parts.append("" if marks.label is Label.NONE else tr("label {name}").format(name=label_name(marks.label)))
    parts.append("" if not marks.tags else tr("tags {tags}").format(tags=", ".join(marks.tags)))
    parts.append("" if num_takes == 1 else tr("{number} takes").format(number=num_takes))
    parts.append(state(entry))
    return ", ".join(part for part in parts if part)


def state(entry: Entry) -> str:
    """Why its file cannot be used, empty when it can."""
    if entry.is_trashed:
        return tr("in the trash")
    return tr("file missing") if entry.is_missing else ""


def tip(entry: Entry) -> str:
    """What is known of an entry, on a few lines."""
    facts = entry.facts
    made = QDateTime.fromSecsSinceEpoch(int(facts.created_s))
    lines = [
        facts.prompt.strip(),
        ", ".join(
            part
            for part in (
                words.size(facts.size) if facts.size else "",
                tr("{fps} fps").format(fps=f"{float(facts.frame_rate):g}") if facts.frame_rate else "",
                length(entry),
                tr("seed {seed}").format(seed=facts.seed) if facts.seed is not None else "",
                facts.model,
            )
            if part
        ),
        tr("Tags: {tags}").format(tags=", ".join(entry.marks.tags)) if entry.marks.tags else "",
        QLocale().toString(made, QLocale.FormatType.ShortFormat),
        str(entry.path),
        state(entry).capitalize(),
    ]
    return "\n".join(line for line in lines if line)
