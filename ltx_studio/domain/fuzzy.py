"""How well what someone types fits a line of text: letters in order, better at the beginnings of words."""

_START_OF_TEXT, _START_OF_WORD, _NEXT_TO_LAST, _ANYWHERE = 16, 10, 8, 1


def fit(query: str, text: str) -> int | None:
    """The higher the better; None when a word of the query is not in the text. Case is ignored.

    Every word's letters have to appear in order. The words may come in any order: "frame first" finds "First frame".
    """
    total = 0
    for word in query.casefold().split():
        score = _fit_word(word, text.casefold())
        if score is None:
            return None
        total += score
    return total


def _fit_word(word: str, text: str) -> int | None:
    """The best of the matches that start at each place where the first letter is; texts are a line long."""
    starts = (index for index, letter in enumerate(text) if letter == word[0])
    scores = [score for start in starts if (score := _fit_from(word, text, start)) is not None]
    return max(scores, default=None)


def _fit_from(word: str, text: str, start: int) -> int | None:
    score = _value(text, start)
    last = start
    for letter in word[1:]:
        index = text.find(letter, last + 1)
        if index < 0:
            return None
        # A letter at the start of a later word may be meant: "np" is "New project", not "neW Project".
        of_a_word = _next_word_start(letter, text, last + 1)
        if index != last + 1 and of_a_word is not None:
            index = of_a_word
        score += _NEXT_TO_LAST if index == last + 1 else _value(text, index)
        last = index
    return score


def _value(text: str, index: int) -> int:
    if index == 0:
        return _START_OF_TEXT
    return _START_OF_WORD if not text[index - 1].isalnum() else _ANYWHERE


def _next_word_start(letter: str, text: str, start: int) -> int | None:
    index = text.find(letter, start)
    while index > 0:
        if not text[index - 1].isalnum():
            return index
        index = text.find(letter, index + 1)
    return None
