"""Words of what is refused and what is not well, in Chinese and English; part of `words`."""

from __future__ import annotations

TROUBLE: dict[str, tuple[str, str]] = {
    # Why a payload is not taken: `forewarn.wire.Reason`
    "refusal_not_json": ("不是有效的 JSON", "it is no JSON"),
    "refusal_not_zlib": ("压缩数据损坏", "its compression is damaged"),
    "refusal_too_large_packed": ("数据块超过大小限制", "the block is too large"),
    "refusal_too_large_inflated": ("解压后超过大小限制", "the block is too large once inflated"),
    "refusal_newer_version": (
        "代理版本比采集中心新：请升级采集中心",
        "the agent is newer than this collector: bring the collector up to date",
    ),
    "refusal_wrong_field": ("字段缺失或类型不符", "a field is missing or of another kind"),
    "refusal_wrong_shape": ("包含未知的数据表或项目", "it has a table or field that is not known"),
    "refusal_wrong_hash": ("校验值不符，记录被改动过", "its hash does not fit: a record was changed"),
    "refusal_wrong_topic": (
        "站点或分片与登记不符：请更正代理设置",
        "its site or shard is not the registered one: correct the agent's settings",
    ),
    "refusal_outside_consent": ("记录超出授权的范围或期限", "a record lies outside what the consent grants"),
    "refusal_unknown_agent": ("代理未登记或已停用", "the agent is not registered, or was retired"),
    "refusal_unknown_consent": (
        "授权未登记，或签名公钥不受信任：请登记授权",
        "the consent is not registered under a trusted key: add it",
    ),
    "refusal_withdrawn": ("授权已撤回", "the consent was withdrawn"),
    "refusal_missing": ("代理已没有这些记录", "the agent no longer has these records"),
    "refusal_forked": (
        "两个代理共用一个队列（机器被克隆或恢复过）",
        "two agents share one spool: a machine was cloned or restored",
    ),
    "refusal_no_room": (
        "采集中心的日志库已达上限：有空间后自动继续",
        "the collector's journal is at its limit: it goes on by itself when there is room",
    ),
    # The parts of a collector, and what it means that one does not work
    "part_bus": ("消息代理", "Broker"),
    "part_journal": ("日志库", "Journal"),
    "part_intake": ("接收", "Intake"),
    "part_service": ("业务库", "Service database"),
    "part_store": ("时序库", "Series store"),
    "part_rules": ("规则评估", "Rules"),
    "part_series": ("时序写入", "Series"),
    "trouble_bus": (
        "连不上消息代理：数据留在现场，恢复后补传",
        "The broker is not reached: data waits on the sites and is sent later.",
    ),
    "trouble_journal": ("日志库不可用：暂不接收数据", "The journal cannot be used: nothing is taken in."),
    "trouble_intake": ("暂时无法入库：数据留在现场", "Nothing can be committed now: data waits on the sites."),
    "trouble_service": (
        "业务库不可用：工单与规则暂停",
        "The service database cannot be used: tickets and rules stand still.",
    ),
    "trouble_store": (
        "时序库不可用：曲线暂缺，工单不受影响",
        "The series store does not answer: curves are missing, tickets go on.",
    ),
    "trouble_rules": ("规则评估停住：不会产生新工单", "Rules stand still: no new ticket opens."),
    "trouble_series": ("时序写入停住：曲线暂不更新", "Series are not written: curves do not move."),
    "in_its_words": ("原始信息", "In its own words"),
}
