"""Words of what happened to devices, in Chinese and English; part of `words`."""

from __future__ import annotations

EVENTS: dict[str, tuple[str, str]] = {
    "events": ("设备事件", "What happened"),
    "event_what": ("事件", "Event"),
    "event_replaced": ("设备已更换（{what}：{before} → {after}）", "Device replaced ({what}: {before} → {after})"),
    "event_firmware": ("固件已变更：{before} → {after}", "Firmware changed: {before} → {after}"),
    "event_no_snmp": ("设备在线，但 SNMP 不应答：{why}", "The device is there, its SNMP is not: {why}"),
    "event_engine_shared": (
        "与设备 {other} 使用同一个 SNMP 引擎标识（{engine}）：SNMP v3 会把两台混为一台，请为其中一台设置新的标识",
        "Has the same SNMP engine id as {other} ({engine}): SNMP v3 takes one for the other; give one of them a new id",
    ),
    "event_unknown_trap": ("未知陷阱", "Unknown trap"),
    "event_repeated": ("5 秒内重复 {count} 次", "the same again {count} times within 5 s"),
    "event_engine": ("SNMP 引擎标识", "SNMP engine"),
}
