"""Readings in words: what is measured, how much it is, and whether that is a reason to act."""

from PySide6.QtCore import QCoreApplication

from ltx_studio.services.gauges import Gauge, GaugeKind
from ltx_studio.ui import words

NEARLY_FULL, TOO_FULL = 0.9, 0.97
_MEGABYTE = 10**6


def tr(text: str) -> str:
    return QCoreApplication.translate("gauges", text)


def title(gauge: Gauge) -> str:
    """What is measured. Of the second GPU on, which one."""
    titles = {
        GaugeKind.GPU_MEMORY: tr("GPU memory"),
        GaugeKind.MEMORY: tr("Main memory"),
        GaugeKind.GPU_LOAD: tr("GPU load"),
        GaugeKind.PROCESSOR_LOAD: tr("Processor load"),
        GaugeKind.GPU_TEMPERATURE: tr("GPU temperature"),
        GaugeKind.DISK: tr("Disk traffic"),
    }
    if gauge.device_index == 0:
        return titles[gauge.kind]
    return tr("{title}, GPU {number}").format(title=titles[gauge.kind], number=gauge.device_index + 1)


def amount(gauge: Gauge) -> str:
    match gauge.kind:
        case GaugeKind.GPU_MEMORY | GaugeKind.MEMORY:
            used, total = words.memory(round(gauge.value)), words.memory(round(gauge.limit or 0))
            return tr("{used} of {total}").format(used=used, total=total)
        case GaugeKind.GPU_LOAD | GaugeKind.PROCESSOR_LOAD:
            return tr("{percent} %").format(percent=round(gauge.value))
        case GaugeKind.GPU_TEMPERATURE:
            return tr("{degrees} °C").format(degrees=round(gauge.value))
        case GaugeKind.DISK:
            return tr("{amount} MB/s").format(amount=f"{gauge.value / _MEGABYTE:.0f}")


def detail(gauge: Gauge) -> str:
    """What else there is to know; empty for most."""
    return "" if gauge.free_bytes is None else tr("{free} free").format(free=words.memory(gauge.free_bytes))


def remark(gauge: Gauge) -> str:
    """Empty while all is well. A load of 100 % is what one pays for."""
    if gauge.fraction is None or gauge.fraction < NEARLY_FULL:
        return ""
    match gauge.kind:
        case GaugeKind.GPU_MEMORY | GaugeKind.MEMORY:
            return tr("full") if gauge.fraction >= TOO_FULL else tr("nearly full")
        case GaugeKind.GPU_TEMPERATURE:
            return tr("too hot") if gauge.fraction >= 1 else tr("hot")
        case _:
            return ""
