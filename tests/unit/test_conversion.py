"""Values of devices as floats of the vocabulary."""

from __future__ import annotations

import pytest

from agent.profiles.conversion import converter, mac, number, quantity, words, written
from agent.profiles.files import Column
from agent.profiles.formula import FormulaError, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"15 PERCENT", 15),
        (b"512 MB", 512 * 1024**2),
        (b"0.0 GB", 0),
        (b"119.2 GB", 119.2 * 1024**3),
        (b"83%", 83),
        (b"  7 ", 7),
        (b"-3.5 C", -3.5),
        (b"12,5 %", 12.5),
        (b"n/a", None),
        (b"", None),
        (b"15 parsecs", None),
        (b"N/A", None),
        (b"2019-03-21 11:43:22", None),
        (b"12:30", None),
        (b"10.0.0.7", None),
        (b"1,024 MB", None),
        (b"0,125 V", 0.125),
        ("36.5 \u00b0C".encode(), 36.5),
        (b"1000MHZ", 1e9),
        (b"12 hours", 43200),
        (b"42 PERCENT\0", 42),
        (42, 42),
    ],
)
def test_a_number_with_its_unit_is_read_from_a_text(text, value):
    assert quantity(text) == value


@pytest.mark.parametrize(("raw", "volts"), [(545, 54.5), (54, 54), (54500, 545)])
def test_a_voltage_in_another_unit_than_the_rfc_has_is_found_by_its_range(raw, volts):
    assert converter(Column(type="gauge", scale=0.1, range=(9, 800), alt_scale=[1.0, 0.01]))(raw) == volts


def test_a_scale_once_found_is_kept_and_what_fits_only_another_is_unknown():
    volts = converter(Column(type="gauge", scale=0.1, range=(9, 800), alt_scale=[1.0, 0.01]))
    assert volts(0) is None, "no battery has 0 V: a value out of every range is not known, and decides nothing"
    assert volts(54) == 54
    assert [volts(raw) for raw in (55, 545, 8, 5450, 54)] == [55, 545, None, None, 54]


def test_a_status_keeps_to_four_meanings_and_unknown_codes_are_unknown():
    status = converter(Column(type="status", codes={"1": "ok", "2": "critical", "Error": "critical"}))
    assert [status(1), status(2), status(b"Error"), status(99)] == [0, 2, 2, 3]


def test_a_flag_is_null_for_a_code_that_is_neither_on_nor_off():
    up = converter(Column(type="flag", on=["1"], off=["2"]))
    assert [up(1), up(2), up(4)] == [1, 0, None]


def test_a_status_may_name_what_every_other_code_means():
    status = converter(Column(type="status", codes={"0": "ok"}, default="critical"))
    assert [status(0), status(7), status(b"what")] == [0, 2, 2]


@pytest.mark.parametrize(
    ("kind", "shown", "flag", "worst"),
    [
        ("bits", b"\x40\x01", 1, 2),
        ("bits", b"\x40", 1, 1),
        ("bits", b"\x00\x01", 1, 2),
        ("bits", b"\x80", 0, 0),
        ("bits", b"", 0, 0),
        ("bits", 5, None, None),
        ("mask", 0b10, 1, 1),
        ("mask", 1 << 15 | 0b10, 1, 2),
        ("mask", 1, 0, 0),
        ("mask", b"text", None, None),
        ("bit_text", b"01" + b"0" * 13 + b"1", 1, 2),
        ("bit_text", b"01", 1, 1),
        ("bit_text", b"1000", 0, 0),
        ("bit_text", b"01x", None, None),
    ],
)
def test_bits_are_a_flag_or_the_worst_of_what_is_set(kind, shown, flag, worst):
    assert converter(Column(type=kind, on=["1", "15"]))(shown) == flag
    assert converter(Column(type=kind, codes={"1": "warning", "15": "critical"}))(shown) == worst


def test_timeticks_are_seconds():
    assert converter(Column(type="timeticks"))(987_600) == 9876


def test_not_a_number_is_null():
    gauge = converter(Column(type="gauge"))
    assert gauge(float("nan")) is None
    assert gauge(float("inf")) is None
    assert gauge(b"garbage") is None
    assert gauge(b"1_000") is None


def test_text_is_shown_as_text_and_octets_in_hexadecimal():
    assert words(b"Switch\x00\r\n 24") == "53:77:69:74:63:68:00:0d:0a:20:32:34"
    assert words(b"Switch \r\n 24\x00") == "Switch 24"
    assert words(bytes.fromhex("02005e000017")) == "02:00:5e:00:00:17"
    assert words("1.3.6.1") == "1.3.6.1"
    assert words("摄像机".encode()) == "摄像机"


def test_a_formula_with_an_unknown_column_is_unknown():
    share = parse("100 * used / size").evaluate
    assert share({"used": 1.0, "size": 4.0}) == 25
    assert share({"used": None, "size": 4.0}) is None
    assert share({"used": 1.0, "size": 0.0}) is None
    assert share({"used": 1e308, "size": 1e-308}) is None


def test_a_formula_takes_powers_of_ten():
    reading = parse("shown / pow10(digits)").evaluate
    assert parse("shown / pow10(digits)").names == {"shown", "digits"}
    assert reading({"shown": 3.0, "digits": 1.0}) == 0.3
    assert reading({"shown": 3.0, "digits": None}) is None
    assert reading({"shown": 3.0, "digits": -400.0}) is None
    assert reading({"shown": 3.0, "digits": 400.0}) is None


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "a.b",
        "a[0]",
        "1 if a else 2",
        "a and b",
        "'text'",
        "a +",
        "",
        "pow10()",
        "pow10(a, b)",
        "pow(a)",
    ],
)
def test_a_formula_can_do_sums_and_nothing_else(text):
    with pytest.raises(FormulaError):
        parse(text)


@pytest.mark.parametrize("text", ["北门摄像头", "大厅 3 号", "西侧(后门)", "镕基路·东"])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "gb18030"])
def test_a_chinese_text_is_read_in_the_encoding_its_device_has(text, encoding):
    assert words(text.encode(encoding) + b"\0") == text
    assert written(text.encode(encoding) + b"\0") == text


def test_a_chinese_status_is_recognised_in_either_encoding():
    status = converter(Column(type="status", codes={"正常": "ok", "异常": "critical"}))
    assert [status("正常".encode()), status("异常".encode("gbk")), status(b"\xff\xff")] == [0, 2, 3]


@pytest.mark.parametrize("octets", ["ff:fe:80", "a1:e3:c4:00", "a6:c1:a6:c2", "80:01:02:03"])
def test_octets_that_are_no_text_in_either_encoding_stay_hexadecimal(octets):
    assert words(bytes.fromhex(octets.replace(":", ""))) == octets


def test_a_mac_address_stays_one_though_its_octets_could_be_chinese():
    octets = "摄像头".encode("gbk")
    assert mac(octets) == "c9:e3:cf:f1:cd:b7"
    assert mac(b"c0:56:e3:11:22:33") == "c0:56:e3:11:22:33"


@pytest.mark.parametrize("text", [b"94-E1-AC-E4-6E-C7", b"94e1.ace4.6ec7", b"94E1ACE46EC7", b"94 e1 ac e4 6e c7"])
def test_a_mac_address_is_written_in_one_way_however_a_device_writes_it(text):
    assert mac(text) == "94:e1:ac:e4:6e:c7"


def test_what_is_no_mac_address_stays_as_it_is():
    assert mac(b"94-e1-ac-e4-6e") == "94-e1-ac-e4-6e"
    assert mac(b"unknown") == "unknown"


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        ("9f78043fc00000", 1.5),
        ("9f79083ff8000000000000", 1.5),
        ("9f78047fc00000", None),
        ("9f78047f800000", None),
        ("9f78043fc000", None),
        ("9f78", None),
    ],
)
def test_a_float_in_an_opaque_is_a_number_when_it_is_one(octets, value):
    assert number(bytes.fromhex(octets)) == value
