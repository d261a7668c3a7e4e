"""Words of the rules page, in Chinese and English; part of `words`."""

from __future__ import annotations

RULES: dict[str, tuple[str, str]] = {
    "and_lasts": ("{what},{span}", "{what}, {span}"),
    "joined_by_and": (" 且 ", " and "),
    "joined_by_or": (" 或 ", " or "),
    "is_not_so": ("并非 {what}", "not {what}"),
    "is_so": ("{what}为“{value}”", "{what} is “{value}”"),
    "is_other": ("{what}不是“{value}”", "{what} is not “{value}”"),
    "time_left": ("剩余时间", "time left"),
    "earliest": ("最早", "earliest"),
    "latest": ("最晚", "latest"),
    "as_written": ("出处与版本", "Source and version"),
    "false_marks": ("误报", "False alarms"),
    "precision": ("准确率（90 天）", "Right (90 d)"),
    "precision_ever": ("准确率（全部）", "Right (ever)"),
    "of_judged": ("{n} / {m} 个已判定工单", "{n} of {m} judged"),
    "n_of_m": ("{n} / {m}", "{n} of {m}"),
    "few_cases": ("样本少", "few cases"),
    "between": ("{low} 至 {high} %", "{low} to {high} %"),
    "judged_how": (
        "准确率：由人解决、关闭或标记的工单中未被标记为误报的比例，括号内为 95 % 区间（Wilson）。规则修改后重新计算。",
        "Right: of the tickets people resolved, closed or marked, those not called a false alarm (95 % interval after Wilson). A changed rule is judged anew.",
    ),
    "version_now": ("当前版本 {version}", "this version, {version}"),
    "version_old": ("版本 {version}", "version {version}"),
    "tally": ("工单 {n} 个，误报 {m} 个", "{n} tickets, {m} false alarms"),
    "ninety_days": ("90 天内", "in 90 days"),
    "ever": ("全部", "ever"),
    "series_held": ("序列数", "Series"),
    "bytes_each": ("每序列状态", "State a series"),
    "bytes_all": ("状态合计", "State"),
    "evaluations_second": ("每秒评估", "Evaluated /s"),
    "time_share": ("耗时占比", "Time share"),
    "evaluated": ("已评估", "Evaluated"),
    "evaluated_since": ("自 {at} 起 {n} 次", "{n} times since {at}"),
    "cost": ("开销", "Cost"),
    "cost_is": ("{n} 条序列，每条 {each}，共 {all}", "{n} series of {each}: {all}"),
    "cost_unknown": (
        "尚无开销数据：评估规则的进程还没有报告。",
        "What rules cost is not known yet: the process that evaluates them has not told.",
    ),
    "cost_old": (
        "开销数据来自 {ago}：此后评估规则的进程没有再报告。",
        "What rules cost is as of {ago}: the process that evaluates them has told nothing since.",
    ),
}
