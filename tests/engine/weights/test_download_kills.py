"""A process killed while it fetches loses no finished piece and leaves no wrong file.

Alone: `pytest tests/engine/weights/test_download_kills.py`. Twenty kills: `python -m tests.benchmarks.download_kills`.
"""

from pathlib import Path

from tests.benchmarks.download_kills import run


def test_three_kills_lose_no_finished_piece_and_leave_no_wrong_file(tmp_path: Path) -> None:
    outcome = run(tmp_path, kills=3, num_bytes=1 << 20, seed=1)

    assert outcome.is_right
    assert outcome.wrong_files_seen == 0
    assert outcome.bytes_lost_by_kills == 0
    assert outcome.bytes_kept_at_each_kill[-1] > 0
    assert outcome.fetched_by_the_last_process == (1 << 20) - outcome.bytes_kept_at_each_kill[-1]
