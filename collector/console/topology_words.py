"""Words of what hangs on what, in Chinese and English; part of `words`."""

from __future__ import annotations

TOPOLOGY: dict[str, tuple[str, str]] = {
    "topology": ("连接关系", "What hangs on what"),
    "topology_none": (
        "尚无设备说明连接关系：可在代理的设置中填写 switch、recorder、ups。",
        "No device says what it hangs on: give switch, recorder and ups in the agent's settings.",
    ),
    "by_switch": ("按交换机", "By switch"),
    "by_recorder": ("按录像机", "By recorder"),
    "by_ups": ("按 UPS", "By UPS"),
    "only_trouble": ("仅显示异常", "Only trouble"),
    "apart_switch": ("未说明所接交换机", "No switch given"),
    "apart_recorder": ("未说明录像机的摄像机", "Cameras without a recorder"),
    "apart_ups": ("未说明供电 UPS", "No UPS given"),
    "place": ("连接位置", "Its place"),
    "channel_at": ("通道 {at}", "channel {at}"),
    "place_at": ("端口或通道", "Port or channel"),
    "place_switch_dark": ("所接交换机也无应答", "Its switch does not answer either"),
    "place_port_up": ("端口正常，设备无应答", "Dark behind a healthy port"),
    "place_port_down": ("所接端口未连通", "Its port has no link"),
    "place_loop": ("连接关系成环", "Its links lead back to itself"),
    "place_unknown": ("没有此设备", "no such device"),
    "port": ("端口", "Port"),
    "port_up": ("已连通", "link up"),
    "port_down": ("未连通", "no link"),
    "port_unknown": ("状态未知", "link unknown"),
    "on_switch": ("所接交换机", "On switch"),
    "on_recorder": ("录像机", "Recorded by"),
    "on_ups": ("供电 UPS", "Powered by"),
    "loads_switch": ("接在其上的设备", "On this switch"),
    "loads_recorder": ("由其录像的设备", "Recorded by it"),
    "loads_ups": ("由其供电的设备", "Powered by it"),
}
