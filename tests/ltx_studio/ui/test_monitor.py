"""What the machine does, as plots and in the status line. Alone: `pytest tests/ltx_studio/ui/test_monitor.py`."""

import pytest
from PySide6.QtWidgets import QAbstractButton, QWidget
from pytestqt.qtbot import QtBot

from engine.hardware import GIB, Device, Machine, current_machine
from ltx_studio.services.gauges import Gauge, GaugeKind, Sampler
from ltx_studio.services.monitor import Reading
from ltx_studio.settings import SEALED
from ltx_studio.ui import gauge_words
from ltx_studio.ui.monitor_panel import MonitorPanel
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

CARD = Device("cuda", 0, "a card", 8 * GIB, GIB)
MACHINE = Machine((CARD, Device("cpu", 0, "a processor", 16 * GIB, 8 * GIB)), 16 * GIB, 8 * GIB, 4)
GAUGES = (
    Gauge(GaugeKind.GPU_MEMORY, 7.5 * GIB, 8 * GIB, 0, "a card"),
    Gauge(GaugeKind.GPU_LOAD, 87, 100, 0, "a card"),
    Gauge(GaugeKind.GPU_TEMPERATURE, 61, 90, 0, "a card"),
    Gauge(GaugeKind.MEMORY, 8 * GIB, 16 * GIB),
    Gauge(GaugeKind.DISK, 12e6, free_bytes=40 * GIB),
)
READING = Reading(MACHINE, 2 * GIB, GAUGES)


def test_this_machine_gives_readings_of_its_memory_and_its_disk() -> None:
    sampler = Sampler()
    sampler.sample(current_machine())

    kinds = {gauge.kind: gauge for gauge in sampler.sample(current_machine())}

    assert 0 < (kinds[GaugeKind.MEMORY].fraction or 0) < 1
    assert GaugeKind.PROCESSOR_LOAD in kinds
    assert all(gauge.value >= 0 for gauge in kinds.values())


@pytest.mark.parametrize(
    ("gauge", "words"),
    [
        (GAUGES[0], "7.5 GB of 8.0 GB"),
        (GAUGES[1], "87 %"),
        (GAUGES[2], "61 °C"),
        (GAUGES[4], "12 MB/s"),
    ],
)
def test_a_reading_carries_its_unit(gauge: Gauge, words: str) -> None:
    assert gauge_words.amount(gauge) == words


@pytest.mark.parametrize(
    ("gauge", "remark"),
    [
        (Gauge(GaugeKind.MEMORY, 80, 100), ""),
        (Gauge(GaugeKind.MEMORY, 92, 100), "nearly full"),
        (Gauge(GaugeKind.GPU_MEMORY, 99, 100), "full"),
        (Gauge(GaugeKind.GPU_TEMPERATURE, 90, 90), "too hot"),
        (Gauge(GaugeKind.GPU_LOAD, 100, 100), ""),
        (Gauge(GaugeKind.DISK, 1e12), ""),
    ],
)
def test_only_what_is_a_reason_to_act_is_remarked_on(gauge: Gauge, remark: str) -> None:
    assert gauge_words.remark(gauge) == remark


def test_the_panel_has_a_plot_for_each_reading_with_its_value_in_words(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()
    studio.window.actions_by_name["show_monitor"].trigger()
    panel = studio.window.findChildren(MonitorPanel)[0]

    panel.show_reading(READING)
    panel.show_reading(READING)

    texts = texts_of(panel)
    assert all(gauge_words.title(gauge) in texts and gauge_words.amount(gauge) in texts for gauge in GAUGES)
    assert "nearly full" in texts
    assert "40.0 GB free" in texts
    assert "LTX Studio itself holds 2.0 GB of main memory." in texts
    qtbot.waitUntil(lambda: studio.find(QWidget, "GPU memory: 7.5 GB of 8.0 GB nearly full").isVisible())


def test_the_plot_moves_with_what_it_shows(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()
    studio.window.actions_by_name["show_monitor"].trigger()
    panel = studio.window.findChildren(MonitorPanel)[0]
    panel.show_reading(READING)
    qtbot.waitUntil(lambda: studio.find(QWidget, "GPU load: 87 %").isVisible())
    plot = studio.find(QWidget, "GPU load: 87 %")
    before = plot.grab().toImage()

    for _ in range(5):
        panel.show_reading(READING)

    assert plot.grab().toImage() != before


def test_the_status_line_says_memory_load_and_temperature_and_opens_the_monitor(
    open_studio: OpenStudio, qtbot: QtBot
) -> None:
    studio = open_studio()

    studio.window.status_line.show_reading(READING)
    studio.click("GPU memory 7.5 GB of 8.0 GB, nearly full · 87 % · 61 °C")

    assert studio.window.findChildren(MonitorPanel)[0].isVisible()


@pytest.mark.parametrize(("is_sealed", "words"), [(True, "Sealed"), (False, "Not sealed")])
def test_the_padlock_is_always_there_in_words(is_sealed: bool, words: str, open_studio: OpenStudio) -> None:
    studio = open_studio()

    studio.window.status_line.show_sealed(is_sealed)

    assert studio.button(words).text() == words


def test_the_padlock_leads_to_its_setting(open_studio: OpenStudio) -> None:
    studio = open_studio()

    studio.click("Not sealed")

    assert SEALED.words is not None
    assert studio.find(QAbstractButton, SEALED.words.label).isVisible()
