"""Every word of the console, in Chinese and English. A page says nothing that is not in here.

`Say` is a language: `say("tickets")`, with values by name, `say("minutes_ago", n=5)`. A word that is missing is a
KeyError, and a test finds it before a person does.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.console.delivery_words import DELIVERY
from collector.console.event_words import EVENTS
from collector.console.judging_words import JUDGING
from collector.console.maintenance_words import MAINTENANCE
from collector.console.rule_words import RULES
from collector.console.topology_words import TOPOLOGY
from collector.console.trouble_words import TROUBLE
from collector.console.unwatched_words import UNWATCHED

LANGUAGES = {"zh": "中文", "en": "English"}
_TAGS = {"zh": "zh-CN", "en": "en-US"}

WORDS: dict[str, tuple[str, str]] = {
    # The door
    "login": ("登录", "Log in"),
    "login_what": ("监控系统预警与维护工单", "Foreseen faults and service tickets"),
    "login_token": ("访问令牌", "Access token"),
    "login_where": ("令牌由以下命令生成：", "A token is made with"),
    "login_refused": ("令牌无效或已撤销。", "This token is not known or was revoked."),
    "logout": ("退出", "Log out"),
    "logged_out": ("令牌已撤销，请重新登录。", "Your token was revoked: log in again."),
    # The frame
    "fleet": ("站点", "Sites"),
    "tickets": ("工单", "Tickets"),
    "ingest": ("数据接收", "Delivery"),
    "rules": ("规则", "Rules"),
    "new_ticket": ("新建工单", "New ticket"),
    "menu": ("菜单", "Menu"),
    "language": ("语言", "Language"),
    "theme": ("外观", "Appearance"),
    "theme_auto": ("跟随系统", "As the system"),
    "theme_light": ("浅色", "Light"),
    "theme_dark": ("深色", "Dark"),
    "signed_in_as": ("当前用户", "Signed in as"),
    "not_found": ("没有这一项", "There is no such thing"),
    "back_to_fleet": ("返回站点列表", "Back to the sites"),
    "database_silent": (
        "数据库暂时无法应答（{why}），请稍后重试。",
        "The database cannot answer now ({why}). Try again.",
    ),
    "store_silent": ("时序库暂时无法应答：{why}", "The series store cannot answer now: {why}"),
    "try_again": ("重试", "Try again"),
    "loading": ("正在读取……", "Reading ..."),
    # Times and numbers
    "just_now": ("刚刚", "just now"),
    "minutes_ago": ("{n} 分钟前", "{n} min ago"),
    "hours_ago": ("{n} 小时前", "{n} h ago"),
    "days_ago": ("{n} 天前", "{n} d ago"),
    "never": ("从未", "never"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "unknown": ("未知", "unknown"),
    # Lists
    "search": ("搜索", "Search"),
    "export": ("导出 CSV", "Export CSV"),
    "nothing": ("没有符合条件的内容", "Nothing here"),
    "rows_a_page": ("每页行数", "Rows a page"),
    "shown_of": ("显示 {shown} / {all}", "{shown} of {all}"),
    "more": ("更早的", "Older"),
    "newest": ("最新的", "Newest"),
    "all": ("全部", "All"),
    # Severity, state
    "severity": ("严重程度", "Severity"),
    "critical": ("严重", "critical"),
    "warning": ("警告", "warning"),
    "state": ("状态", "State"),
    "open": ("处理中", "open"),
    "resolved": ("已解决", "resolved"),
    "closed": ("已关闭", "closed"),
    "ok": ("正常", "ok"),
    "up": ("在线", "up"),
    "down": ("无应答", "down"),
    "holds": ("故障仍在", "still holds"),
    "recovered": ("已恢复", "recovered"),
    # Fleet
    "site": ("站点", "Site"),
    "name": ("名称", "Name"),
    "worst": ("最严重", "Worst"),
    "open_tickets": ("未结工单", "Open tickets"),
    "critical_open": ("严重工单", "Critical tickets"),
    "warning_open": ("警告工单", "Warning tickets"),
    "unacknowledged": ("未确认", "Not acknowledged"),
    "silent_agents": ("失联代理", "Silent agents"),
    "agents": ("代理", "Agents"),
    "devices": ("设备", "Devices"),
    "heard": ("最近数据", "Last heard"),
    "sites_count": ("站点数", "Sites"),
    # Site
    "device": ("设备", "Device"),
    "kind": ("类型", "Kind"),
    "profile": ("采集配置", "Profile"),
    "model": ("型号", "Model"),
    "last_value": ("最近一次采集", "Last poll"),
    "agent": ("采集代理", "Agent"),
    "delivery": ("数据送达", "Delivery"),
    "watermark": ("已入库至", "Committed up to"),
    "of_spool": ("队列 {oldest} 至 {head}", "spool {oldest} to {head}"),
    "lag": ("待传记录", "Still to come"),
    "held_reason": ("暂缓原因", "Held because"),
    "declared_lost": ("声明丢失", "Declared lost"),
    "consent": ("授权", "Consent"),
    "consent_none": ("没有有效授权：此站点的数据不会被接收。", "No consent in force: nothing of this site is taken."),
    "consent_in_force": ("有效", "in force"),
    "consent_future": ("尚未生效", "not yet valid"),
    "consent_over": ("已过期", "expired"),
    "consent_withdrawn": ("已撤回", "withdrawn"),
    "signed_by": ("签署人", "Signed by"),
    "scopes": ("授权范围", "Scopes"),
    "scope_snmp": ("SNMP 采集", "SNMP polls"),
    "scope_trap": ("SNMP 陷阱", "SNMP traps"),
    "scope_probe": ("连通探测", "reachability probes"),
    "scope_isapi": ("ISAPI 只读", "ISAPI, read only"),
    "scope_onvif": ("ONVIF 只读", "ONVIF, read only"),
    "scope_discovery": ("设备发现", "looking for devices"),
    "scope_host": ("代理主机", "the agent's own host"),
    "scope_agent": ("代理自身", "the agent itself"),
    "networks": ("授权网段", "Networks"),
    "from_to": ("{begin} 至 {end}", "{begin} to {end}"),
    "valid": ("有效期", "Valid"),
    "silent": ("失联", "silent"),
    "no_agent": ("未接入", "no agent"),
    "trouble": ("异常", "trouble"),
    "retired": ("已停用", "retired"),
    "kind_camera": ("摄像机", "camera"),
    "kind_recorder": ("录像机", "recorder"),
    "kind_switch": ("交换机", "switch"),
    "kind_ups": ("UPS", "UPS"),
    "kind_storage": ("存储", "storage"),
    "kind_server": ("服务器", "server"),
    "kind_sensor": ("传感器", "sensor"),
    "kind_other": ("其他", "other"),
    "kind_agent": ("采集代理", "agent"),
    # Device
    "values": ("最近数值", "Last values"),
    "charts": ("曲线", "Charts"),
    "inventory": ("设备信息", "Inventory"),
    "table": ("数据表", "Table"),
    "instance": ("实例", "Instance"),
    "field": ("项目", "Field"),
    "value": ("数值", "Value"),
    "time": ("时间", "Time"),
    "range_1h": ("1 小时", "1 h"),
    "range_24h": ("24 小时", "24 h"),
    "range_7d": ("7 天", "7 d"),
    "range_30d": ("30 天", "30 d"),
    "what_to_chart": ("显示的项目", "What to show"),
    "no_values": ("此时间段内没有数据", "No values in this stretch of time"),
    "no_inventory": ("尚未收到设备信息", "No inventory has come yet"),
    "first_of": ("显示前 {shown} 条，共 {all} 条", "The first {shown} of {all} lines"),
    "first_seen": ("首次出现", "First seen"),
    "changed": ("最近变化", "Last changed"),
    # Tickets
    "title": ("标题", "Title"),
    "rule": ("规则", "Rule"),
    "by_hand": ("人工建立", "made by hand"),
    "assignee": ("负责人", "Assignee"),
    "occurred": ("发生时间", "Since"),
    "mine": ("我的工单", "Mine"),
    "ticket": ("工单", "Ticket"),
    "any_state": ("所有状态", "Any state"),
    "any_severity": ("所有级别", "Any severity"),
    "any_site": ("所有站点", "Any site"),
    "search_tickets": ("搜索标题、设备或工单号", "Title, device or id"),
    # Ticket
    "why": ("判断依据", "Why"),
    "advice": ("处理建议", "What to do"),
    "threshold": ("阈值", "Threshold"),
    "forecast": ("预测", "Forecast"),
    "held": ("成立", "held"),
    "not_held": ("不成立", "did not hold"),
    "history": ("处理记录", "History"),
    "earlier": ("同一故障的历史工单", "Earlier tickets of the same fault"),
    "no_earlier": ("此前没有同类工单", "None before"),
    "holds_since": ("自 {at} 起成立", "Holds since {at}"),
    "acknowledged_by": ("确认人", "Acknowledged by"),
    "nobody": ("无人", "nobody"),
    "trend": ("趋势：每天 {slope}", "Trend: {slope} a day"),
    "interval": ("90 % 区间 {low} 至 {high}", "90 % interval {low} to {high}"),
    "history_of": ("依据 {span} 的历史数据", "from {span} of history"),
    "act_acknowledge": ("确认", "Acknowledge"),
    "act_assign": ("指派", "Assign"),
    "act_comment": ("备注", "Comment"),
    "act_resolve": ("解决", "Resolve"),
    "act_close": ("关闭", "Close"),
    "act_reopen": ("重新打开", "Reopen"),
    "ask_assign": ("指派给谁（留空为取消指派）", "To whom (empty: to nobody)"),
    "ask_comment": ("要记录的内容", "What is to be remembered"),
    "ask_resolve": ("原因是什么，如何解决的", "What was the cause, and how was it mended"),
    "ask_close": ("说明（故障仍在时必填）", "Remark (needed while the condition holds)"),
    "ask_reopen": ("为什么重新打开", "Why it is opened again"),
    "to_me": ("指派给我", "To me"),
    "cancel": ("取消", "Cancel"),
    "done": ("已记录", "Done"),
    "event_opened": ("建立工单", "opened"),
    "event_occurrence": ("故障再次出现", "came back"),
    "event_changed": ("严重程度变化", "severity changed"),
    "event_recovered": ("故障已恢复", "recovered"),
    "event_acknowledged": ("确认", "acknowledged"),
    "event_assigned": ("指派", "assigned"),
    "event_commented": ("备注", "commented"),
    "event_resolved": ("解决", "resolved"),
    "event_closed": ("关闭", "closed"),
    "event_reopened": ("重新打开", "reopened"),
    "to_whom": ("给 {who}", "to {who}"),
    "succeeded_by": ("由新工单接续", "A newer ticket goes on"),
    "refused_already_acknowledged": ("已有人确认", "It is acknowledged already."),
    "refused_already_resolved": ("已经解决", "It is resolved already."),
    "refused_already_assigned": ("已经指派给此人", "It is this person's already."),
    "refused_closed": ("工单已关闭，请先重新打开", "The ticket is closed: reopen it first."),
    "refused_not_ended": ("工单仍在处理中", "The ticket is open."),
    "refused_says_nothing": ("请填写内容", "A text is needed."),
    "refused_still_holds": (
        "故障仍在，关闭时请说明理由",
        "The condition still holds: say why it is closed all the same.",
    ),
    "refused_another_open": ("同一故障已有未结工单", "Another ticket of this fault is open."),
    # Evidence in sentences
    "ev_time_to": ("{what}达到 {level} 还需", "Time until {what} reaches {level}"),
    "ev_avg": ("{what}在 {window} 内的平均值", "Mean of {what} over {window}"),
    "ev_min": ("{what}在 {window} 内的最小值", "Least {what} in {window}"),
    "ev_max": ("{what}在 {window} 内的最大值", "Greatest {what} in {window}"),
    "ev_ewma": ("{what}的平滑值（{window}）", "{what}, smoothed over {window}"),
    "ev_rate": ("{what}每秒变化", "Change of {what} a second"),
    "ev_delta": ("{what}的变化", "Change of {what}"),
    "ev_prev": ("{what}的上一个值", "{what} before"),
    "ev_absent": ("代理失联时间", "Time without a word of the agent"),
    "ev_below": ("低于 {limit}", "below {limit}"),
    "ev_at_most": ("不高于 {limit}", "at most {limit}"),
    "ev_above": ("高于 {limit}", "above {limit}"),
    "ev_at_least": ("不低于 {limit}", "at least {limit}"),
    "ev_equal": ("等于 {limit}", "equal to {limit}"),
    "ev_other": ("不等于 {limit}", "other than {limit}"),
    "ev_limit": ("条件：{limit}", "condition: {limit}"),
    # New ticket
    "make": ("建立", "Make it"),
    "what_is_wrong": ("问题（一句话）", "What is wrong, in a sentence"),
    "details": ("详情", "Details"),
    "no_device": ("整个站点", "the site as a whole"),
    "needs_site": ("请选择站点", "Choose a site."),
    "needs_title": ("请填写问题", "Say what is wrong."),
    # Ingest
    "duplicates": ("重复", "Duplicates"),
    "gaps": ("缺口", "Gaps"),
    "held_blocks": ("暂缓", "Held"),
    "set_aside": ("隔离", "Set aside"),
    "set_aside_list": ("无法接收的数据", "Payloads that could not be taken"),
    "reason": ("原因", "Reason"),
    "detail": ("说明", "Detail"),
    "size": ("大小", "Size"),
    "topic": ("主题", "Topic"),
    "arrived": ("到达时间", "Arrived"),
    "checks": ("运行状况", "Health"),
    "behind": ("落后 {n} 条", "{n} entries behind"),
    # Rules
    "looks_at": ("检查对象", "Looks at"),
    "any_device": ("所有设备", "any device"),
    "recovers_when": ("恢复条件", "Over when"),
    "recovers_never": ("不会自行恢复", "never by itself"),
    "unless": ("除非", "Unless"),
    "where": ("范围", "Only where"),
    "for_time": ("持续 {span}", "for {span}"),
    "total": ("总计", "All"),
    "texts": ("工单内容", "What the ticket says"),
    **DELIVERY,
    **TOPOLOGY,
    **JUDGING,
    **EVENTS,
    **MAINTENANCE,
    **RULES,
    **TROUBLE,
    **UNWATCHED,
}


@dataclass(frozen=True, slots=True)
class Say:
    """One language: call it with a word."""

    language: str

    def __call__(self, word: str, **values: object) -> str:
        """The word in this language, with values filled in.

        Raises:
            KeyError: there is no such word, or one of its values is missing.
        """
        said = WORDS[word][0 if self.language == "zh" else 1]
        return said.format(**values) if values else said

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return _TAGS[self.language]
