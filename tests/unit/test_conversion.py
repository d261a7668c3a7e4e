"""Values of devices as floats of the vocabulary."""

from __future__ import annotations

import pytest

from agent.conversion import converter, mac, quantity, words, written
from agent.formula import FormulaError, parse
from agent.profile import Column


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


def test_not_a_number_is_null():
    gauge = converter(Column(type="gauge"))
    assert gauge(float("nan")) is None
    assert gauge(float("inf")) is None
    assert gauge(b"garbage") is None


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


@pytest.mark.parametrize("text", ["__import__('os')", "a.b", "a[0]", "1 if a else 2", "a and b", "'text'", "a +", ""])
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
