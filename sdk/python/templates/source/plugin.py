"""The Crossdock plugin `{{name}}`: reads a text file line by line."""

from dataclasses import dataclass
from typing import BinaryIO

from crossdock import CallError, More, Page, Source, setting, want_read_dir


@dataclass
class Settings:
    """What a route may set. From this comes the JSON Schema by which routes are checked and that editors show."""

    file: str = setting("The file, within a directory that the route grants: `/in/orders.ndjson`.")


class Plugin(Source[Settings]):
    wants = [want_read_dir("the file")]
    re_reads = True  # Reading again from an older checkpoint gives the same records with the same ids.

    def read(self, checkpoint: bytes | None, page: Page) -> More:
        """Fills a page with what comes after the checkpoint, and moves the checkpoint behind it."""
        line, byte = position(checkpoint)
        try:
            with open(self.settings.file, "rb") as file:
                return self.read_from(file, line, byte, page)
        except OSError as error:
            raise CallError.unavailable(f"{self.settings.file} cannot be read: {error}") from None

    def read_from(self, file: BinaryIO, line: int, byte: int, page: Page) -> More:
        if file.seek(0, 2) < byte:
            # It is another file than the one that was read so far: a person has to decide, not the plugin.
            raise CallError.checkpoint_refused(f"{self.settings.file} is shorter than what was read of it")
        file.seek(byte)
        more = More.IDLE
        for text in file:
            # A line that is still being written is left for the next time.
            if not text.endswith(b"\n"):
                break
            id = f"line-{line + 1}"  # The same line has the same id whenever it is read.
            if not page.fits(len(id) + len(text) - 1):
                more = More.MORE
                break
            page.push(id, text[:-1])
            line, byte = line + 1, byte + len(text)
        page.checkpoint(f"{line} {byte}")
        return more


def position(checkpoint: bytes | None) -> tuple[int, int]:
    """How far the file was read. The host keeps a checkpoint and gives it back as it is."""
    if checkpoint is None:
        return 0, 0
    try:
        line, byte = checkpoint.split(b" ")
        return int(line), int(byte)
    except ValueError:
        raise CallError.checkpoint_refused("the checkpoint is not one of this plugin") from None
