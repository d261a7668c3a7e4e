"""Words of devices that nobody watches, in Chinese and English; part of `words`."""

from __future__ import annotations

UNWATCHED: dict[str, tuple[str, str]] = {
    "unwatched": ("未纳入监控的设备", "Devices nobody watches"),
    "unwatched_address": ("IP 地址", "IP address"),
    "unwatched_mac": ("MAC 地址", "MAC address"),
    "unwatched_maker": ("厂商", "Maker"),
    "unwatched_name": ("自报名称", "Calls itself"),
    "unwatched_model": ("型号", "Model"),
    "unwatched_answers": ("应答方式", "Answers"),
    "unwatched_first": ("首次发现", "First found"),
    "unwatched_last": ("最近更新", "Last told"),
    "event_unwatched": (
        "发现未纳入监控的设备：{address}（{maker}，应答：{answers}）",
        "A device nobody watches: {address} ({maker}, answers {answers})",
    ),
    "event_more_unwatched": (
        "另有 {count} 台未纳入监控的设备，未逐一列出",
        "{count} more devices nobody watches, not listed one by one",
    ),
    "maker_unknown": ("厂商未知", "maker unknown"),
}
