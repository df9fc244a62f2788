import tempfile
import unittest
from pathlib import Path

from crossdock import CallError, ErrorKind, testing
from plugin import Plugin


class Test(unittest.TestCase):
    def reading(self, text: str) -> Plugin:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = Path(folder.name) / "orders.ndjson"
        file.write_bytes(text.encode())
        return testing.plugin(Plugin, file=str(file))

    def test_each_whole_line_is_a_record(self) -> None:
        pages = testing.read_all(self.reading("one\ntwo\nthr"), max_records=1)
        records = [(record.id, record.text) for page in pages for record in page.records]
        self.assertEqual(records, [("line-1", "one"), ("line-2", "two")])

    def test_a_checkpoint_of_another_file_is_refused(self) -> None:
        with self.assertRaises(CallError) as refused:
            testing.read(self.reading("one\n"), b"7 700")
        self.assertIs(refused.exception.kind, ErrorKind.CHECKPOINT_REFUSED)


if __name__ == "__main__":
    unittest.main()
