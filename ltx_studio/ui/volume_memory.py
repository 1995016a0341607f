"""The player's volume is as it was left the last time."""

import logging

from PySide6.QtCore import QObject, QTimer, Slot

from engine.errors import RequestError
from ltx_studio.services.player import Player
from ltx_studio.settings import VOLUME
from ltx_studio.state.preferences import Preferences

logger = logging.getLogger("studio.player")

_WRITTEN_AFTER_MS = 500  # a volume that is being dragged is on its way


class VolumeMemory(QObject):
    """Sets the volume at the start, and writes it down when it rests. Muting is for the moment, and not remembered."""

    def __init__(self, player: Player, preferences: Preferences) -> None:
        super().__init__(player)
        self._player = player
        self._preferences = preferences
        self._write_soon = QTimer(self)
        self._write_soon.setSingleShot(True)
        self._write_soon.setInterval(_WRITTEN_AFTER_MS)
        self._write_soon.timeout.connect(self.write)
        player.set_volume(preferences.get(VOLUME) / 100)
        player.volume_changed.connect(self._write_soon.start)

    @Slot()
    def write(self) -> None:
        """Now, where it differs."""
        self._write_soon.stop()
        try:
            self._preferences.put(VOLUME, round(100 * self._player.volume))
        except RequestError as error:  # nobody has to hear of that while watching
            logger.warning("the volume was not remembered: %s", error)
