"""An entry of the table of options is neutral unless it says otherwise."""

from dcmrecv.config.option import Heading, Option


def test_an_option_says_nothing_but_its_name_and_text() -> None:
    option = Option("--name", "", "text")
    assert (option.field, option.choice, option.values) == ("", True, 0)
    assert (option.bounds, option.cut, option.repeatable) == (None, None, False)
    assert (option.requires, option.excludes, option.blamed) == ((), (), "")
    assert not option.secret


def test_entries_with_the_same_content_are_equal() -> None:
    assert Option("--a", "", "text") == Option("--a", "", "text")
    assert Heading("title", "") != Heading("title", "subtitle")
