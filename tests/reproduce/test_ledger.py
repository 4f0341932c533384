"""Steps of long work: what is whole and belongs is not done again, all else is."""

import json

import pytest

from aptstream.errors import ResumeError, StoreError
from aptstream.reproduce.ledger import Step, carry_out, claim, read_record, require_free


class Work:
    """Two steps, of which the second reads the first, and which of them were done."""

    def __init__(self, folder):
        self.folder, self.done, self.size = folder, [], 3

    def steps(self):
        def first(folder):
            (folder / "out" / "a.txt").write_text("a" * self.size)
            return {"size": self.size, "nothing": float("nan")}

        def second(folder):
            (folder / "b.txt").write_text((folder / "out" / "a.txt").read_text() + "b")
            return {}

        return (
            Step("first", "the first", ("out/a.txt",), first, {"size": self.size}),
            Step("second", "the second", ("b.txt",), second, {}, ("first",)),
        )

    def run(self):
        self.done = []
        return [carry_out(step, self.folder, self.done.append) for step in self.steps()]


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path)


def test_each_step_is_done_once_and_its_record_read_again(work):
    first = work.run()
    assert work.done == ["the first", "the second"]
    assert first[0].facts == {"size": 3, "nothing": None}
    assert first[0].seconds >= 0
    assert work.run() == first
    assert work.done == []


def test_a_product_that_is_missing_or_changed_is_made_again_and_what_reads_it_only_where_it_differs(work):
    work.run()
    (work.folder / "out" / "a.txt").write_text("aXa")
    work.run()
    assert work.done == ["the first"]  # which came out as before
    (work.folder / "b.txt").unlink()
    work.run()
    assert work.done == ["the second"]


def test_other_settings_are_another_product_for_all_that_reads_it(work):
    work.run()
    work.size = 4
    work.run()
    assert work.done == ["the first", "the second"]
    assert (work.folder / "b.txt").read_text() == "aaaab"


@pytest.mark.parametrize(
    "change", [lambda text: text.replace('"size": 3', '"size": 4'), lambda _: "{", lambda _: "[1]"]
)
def test_a_record_that_was_edited_counts_for_nothing(work, change):
    work.run()
    path = work.folder / "steps" / "first.json"
    path.write_text(change(path.read_text()))
    assert read_record(work.folder, "first") is None
    work.run()
    assert work.done == ["the first"]


def test_what_was_interrupted_counts_for_nothing(work):
    first, second = work.steps()

    def interrupted(folder):
        (folder / "out" / "a.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(Step("first", "the first", first.products, interrupted), work.folder, work.done.append)
    assert read_record(work.folder, "first") is None
    with pytest.raises(ResumeError, match="first is to be done before second"):
        carry_out(second, work.folder, work.done.append)
    work.run()
    assert (work.folder / "out" / "a.txt").read_text() == "aaa"


def test_settings_are_claimed_once_and_others_are_refused_by_name(tmp_path):
    claim(tmp_path, {"images": 200, "size": (1, 2)})
    claim(tmp_path, {"images": 200, "size": [1, 2]})
    with pytest.raises(ResumeError, match=r"images 200 \(now 300\)"):
        claim(tmp_path, {"images": 300, "size": [1, 2]})
    fields = json.loads((tmp_path / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps(fields | {"images": 300}))
    with pytest.raises(ResumeError, match="damaged"):
        claim(tmp_path, {"images": 300, "size": [1, 2]})


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    require_free(tmp_path / "new" / "one")
    assert (tmp_path / "new" / "one").is_dir()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="in use"):
        require_free(tmp_path)
    with pytest.raises(StoreError, match="is a file"):
        require_free(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"
