"""Words of false alarms and of how often rules are right, in Chinese and English; part of `words`."""

from __future__ import annotations

JUDGING: dict[str, tuple[str, str]] = {
    "false_alarm": ("误报", "false alarm"),
    "marked_by": ("误报标记人", "Marked by"),
    "false_why": ("误报原因", "Why it was false"),
    "any_mark": ("不论是否误报", "False alarm or not"),
    "marked_false": ("仅误报", "False alarms only"),
    "not_marked_false": ("不含误报", "No false alarms"),
    "act_mark_false": ("标记为误报", "False alarm"),
    "act_unmark_false": ("取消误报标记", "Not a false alarm"),
    "ask_mark_false": ("补充说明（选择“其他”时必填）", "In your own words (needed for another reason)"),
    "ask_unmark_false": ("为什么不是误报", "Why it was none"),
    "false_maintenance": ("现场作业", "Maintenance on site"),
    "false_sensor": ("传感器或读数有误", "The sensor or its reading was wrong"),
    "false_threshold": ("阈值过严", "The threshold is too tight"),
    "false_customer": ("客户已知情", "The customer knew of it"),
    "false_other": ("其他", "Another reason"),
    "event_marked_false": ("标记为误报", "marked as a false alarm"),
    "event_unmarked_false": ("取消误报标记", "no longer marked as a false alarm"),
    "refused_by_hand": ("人工建立的工单不属于任何规则", "It was made by hand: no rule raised a false alarm."),
    "refused_already_false": ("已标记为误报", "It is marked as a false alarm already."),
    "refused_not_false": ("未标记为误报", "It is not marked as a false alarm."),
}
