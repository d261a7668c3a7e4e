"""What the demo says, in English and Chinese."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]

_SAYINGS: dict[str, dict[Language, str]] = {
    "begins": {
        "en": "A customer site is simulated on this machine; agent, broker and collector are the real ones. Its folder: {folder}",
        "zh": "本机模拟一个客户现场；采集代理、消息代理与采集中心均为真实程序。目录：{folder}",
    },
    "writing": {"en": "Seven days the site could not send", "zh": "写入七天未能发送的记录"},
    "sending": {"en": "The backlog, the ordinary way", "zh": "积压数据按正常路径补传"},
    "resumed": {
        "en": "This folder has the history of an earlier demo; the site goes on from there.",
        "zh": "此目录已有先前演示的历史，现场由此继续。",
    },
    "ticket": {
        "en": "Ticket after {seconds:.0f} s ({severity}): {title}",
        "zh": "{seconds:.0f} 秒后生成工单（{severity}）：{title}",
    },
    "new": {"en": "{at}  {state} ({severity}): {title}", "zh": "{at}  {state}（{severity}）：{title}"},
    "rate": {
        "en": "{values:,} values in {seconds:.1f} s: {rate:,.0f} values/s, from the agent's disk into store and rules.",
        "zh": "{seconds:.1f} 秒内 {values:,} 个值，每秒 {rate:,.0f} 个，由代理磁盘至存储与规则。",
    },
    "address": {
        "en": "API:      {address}/api/v1   (docs/openapi.json describes it)",
        "zh": "接口:     {address}/api/v1",
    },
    "console": {"en": "Console:  {address}/", "zh": "控制台:   {address}/"},
    "token": {
        "en": "Token:    {token}   (Authorization: Bearer TOKEN)",
        "zh": "令牌:     {token}   (Authorization: Bearer TOKEN)",
    },
    "simulated": {
        "en": "Simulated: {names}: real SNMP over UDP on 127.0.0.1, values from recordings, faults from a script.",
        "zh": "模拟：{names}。127.0.0.1 上真实的 SNMP/UDP，数值来自录制数据，故障来自脚本。",
    },
    "own": {
        "en": "This machine's own: {host}, read through psutil every 2 s, under the same consent.",
        "zh": "本机真实数据：{host}，每 2 秒经 psutil 读取，受同一授权约束。",
    },
    "goes_on": {"en": "The devices are polled on. Ctrl-C ends it.", "zh": "设备持续轮询。按 Ctrl-C 结束。"},
    "ended": {"en": "Ended. Nothing of it is left running.", "zh": "已结束，没有残留进程。"},
    "kept": {
        "en": "Kept in {folder}: the next demo there goes on with it.",
        "zh": "已保存在 {folder}，下次演示由此继续。",
    },
    "late": {
        "en": "No forecast ticket and series of this machine within {seconds:.0f} s.",
        "zh": "{seconds:.0f} 秒内未出现预测工单与本机数据。",
    },
    "proof": {
        "en": "{spooled:,} records spooled, {committed:,} committed, {waiting:,} on the way, {lost} lost, {duplicates} twice; {values:,} rows.",
        "zh": "入队 {spooled:,} 条，提交 {committed:,} 条，在途 {waiting:,} 条，丢失 {lost}，重复 {duplicates}；共 {values:,} 行。",
    },
}


_WORDS: dict[str, str] = {
    "open": "待处理",
    "resolved": "已解决",
    "closed": "已关闭",
    "recovered": "已恢复",
    "warning": "警告",
    "critical": "严重",
}


def word(language: Language, name: str) -> str:
    """A ticket's state or severity."""
    return _WORDS.get(name, name) if language == "zh" else name


def say(language: Language, name: str, **facts: object) -> str:
    """One sentence, with its facts in place."""
    return _SAYINGS[name][language].format(**facts)
