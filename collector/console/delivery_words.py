"""Words of the page about delivery: lag, proofs, presence and dead letters; part of `words`."""

from __future__ import annotations

DELIVERY: dict[str, tuple[str, str]] = {
    "last_proof": ("最近核对", "Last proof"),
    "proof_none": ("尚无清单", "no manifest yet"),
    "proof_whole": ("完整", "whole"),
    "proof_set_aside": ("完整，{n} 条被隔离", "whole, {n} set aside"),
    "proof_missing": ("缺 {n} 条", "{n} missing"),
    "proof_differs": ("与清单不符", "differs from the manifest"),
    "proof_upto": ("核对至 {last}，{ago}", "up to {last}, {ago}"),
    "late_by": ("落后 {span}", "{span} late"),
    "presence": ("在线状态", "Presence"),
    "presence_online": ("在线", "online"),
    "presence_offline": ("离线", "offline"),
    "presence_none": ("未上报", "not told"),
    "presence_hint": ("第 {n} 次连接", "connection {n}"),
    "dead_letters": ("无法应用的数据", "Blocks that could not be applied"),
    "letter": ("编号", "Letter"),
    "letter_records": ("记录", "Records"),
    "letter_where": ("环节", "Where"),
    "letter_remedy": ("可用操作", "What can be done"),
    "letter_waiting": (
        "升级后重试或丢弃：forewarn collector deadletter retry|drop {name}",
        "try again after an update, or drop it: forewarn collector deadletter retry|drop {name}",
    ),
    "letter_asked": ("等待重新应用", "waits to be applied again"),
    "letter_retried": ("已重新应用", "applied again"),
    "letter_dropped": ("已丢弃", "dropped"),
    "aside_drop": (
        "查看后可丢弃：forewarn collector deadletter show|drop {name}",
        "look at it, then drop it: forewarn collector deadletter show|drop {name}",
    ),
}
