"""What tables and fields of the vocabulary are called on screens, in Chinese and English.

A test compares this with `forewarn.vocabulary`: a field that is added there is named here.
"""

from __future__ import annotations

import msgspec

from collector.console.words import Say

TABLES: dict[str, tuple[str, str]] = {
    "device": ("设备", "Device"),
    "host": ("主机", "Host"),
    "disk": ("硬盘", "Disk"),
    "raid": ("磁盘阵列", "RAID"),
    "volume": ("存储卷", "Volume"),
    "interface": ("网络接口", "Interface"),
    "poe": ("PoE 端口", "PoE port"),
    "poe_supply": ("PoE 供电", "PoE supply"),
    "ups": ("UPS", "UPS"),
    "ups_input": ("UPS 输入", "UPS input"),
    "ups_output": ("UPS 输出", "UPS output"),
    "feed": ("配电回路", "Feed"),
    "sensor": ("传感器", "Sensor"),
    "fan": ("风扇", "Fan"),
    "psu": ("电源", "Power supply"),
    "channel": ("录像通道", "Channel"),
    "service": ("服务", "Service"),
    "probe": ("探测", "Probe"),
    "agent": ("采集代理", "Agent"),
}

FIELDS: dict[str, tuple[str, str]] = {
    "up": ("在线", "Up"),
    "snmp_up": ("SNMP 应答", "SNMP answers"),
    "admin_up": ("已启用", "Enabled"),
    "rtt_seconds": ("应答时间", "Round trip"),
    "latency_seconds": ("延迟", "Latency"),
    "uptime_seconds": ("运行时间", "Uptime"),
    "poll_seconds": ("采集耗时", "Poll time"),
    "clock_offset_seconds": ("时钟偏差", "Clock offset"),
    "clock_synchronised": ("时钟已同步", "Clock kept"),
    "status": ("状态", "Status"),
    "status_code": ("状态码", "Status code"),
    "cpu_percent": ("CPU 使用率", "CPU"),
    "iowait_percent": ("等待 I/O", "Waiting for I/O"),
    "memory_used_percent": ("内存使用率", "Memory used"),
    "memory_total_bytes": ("内存总量", "Memory"),
    "memory_available_bytes": ("可用内存", "Memory available"),
    "swap_used_percent": ("交换区使用率", "Swap used"),
    "load1": ("1 分钟负载", "Load, 1 min"),
    "load5": ("5 分钟负载", "Load, 5 min"),
    "load15": ("15 分钟负载", "Load, 15 min"),
    "cpu_pressure_percent": ("CPU 压力", "CPU pressure"),
    "memory_pressure_percent": ("内存压力", "Memory pressure"),
    "io_pressure_percent": ("I/O 压力", "I/O pressure"),
    "oom_kills": ("内存不足终止进程数", "Killed for want of memory"),
    "memory_corrected_errors": ("已纠正内存错误", "Memory errors put right"),
    "memory_uncorrected_errors": ("未纠正内存错误", "Memory errors not put right"),
    "processes": ("进程数", "Processes"),
    "temperature_celsius": ("温度", "Temperature"),
    "humidity_percent": ("湿度", "Humidity"),
    "reallocated_sectors": ("重映射扇区", "Reallocated sectors"),
    "reported_uncorrectable": ("不可纠正错误", "Uncorrectable errors"),
    "pending_sectors": ("待映射扇区", "Pending sectors"),
    "offline_uncorrectable": ("离线不可纠正", "Offline uncorrectable"),
    "power_on_hours": ("通电时间", "Power-on time"),
    "wear_used_percent": ("寿命已用", "Life used"),
    "spare_percent": ("剩余备用块", "Spare blocks left"),
    "media_errors": ("介质错误", "Media errors"),
    "crc_errors": ("接口校验错误", "Cable errors (CRC)"),
    "standby": ("休眠", "Asleep"),
    "free_bytes": ("可用空间", "Free"),
    "total_bytes": ("总容量", "Size"),
    "used_percent": ("空间使用率", "Space used"),
    "read_bytes_per_second": ("读取速率", "Read"),
    "write_bytes_per_second": ("写入速率", "Write"),
    "busy_percent": ("繁忙度", "Busy"),
    "await_seconds": ("I/O 应答时间", "I/O response time"),
    "queue_length": ("I/O 队列", "I/O queue"),
    "disks": ("硬盘数", "Disks"),
    "channels": ("通道数", "Channels"),
    "disks_missing": ("缺失硬盘", "Disks missing"),
    "disks_failed": ("故障硬盘", "Disks failed"),
    "spares": ("热备盘", "Spares"),
    "rebuilt_percent": ("重建进度", "Rebuilt"),
    "inodes_used_percent": ("索引节点使用率", "Inodes used"),
    "read_only": ("只读", "Read-only"),
    "overwrite": ("循环覆盖", "Overwrites"),
    "oldest_record_seconds": ("最早录像距今", "Oldest footage"),
    "in_bits_per_second": ("入流量", "In"),
    "out_bits_per_second": ("出流量", "Out"),
    "in_errors_per_second": ("入错误", "Errors in"),
    "out_errors_per_second": ("出错误", "Errors out"),
    "in_discards_per_second": ("入丢弃", "Discards in"),
    "out_discards_per_second": ("出丢弃", "Discards out"),
    "fcs_errors_per_second": ("校验错误", "Checksum errors"),
    "speed_bits_per_second": ("速率", "Speed"),
    "full_duplex": ("全双工", "Full duplex"),
    "carrier_changes": ("链路通断次数", "Link changes"),
    "power_watts": ("功率", "Power"),
    "overloads_per_second": ("过载次数", "Overloads"),
    "budget_watts": ("供电预算", "Power budget"),
    "used_watts": ("已用功率", "Power used"),
    "shorts_per_second": ("短路次数", "Shorts"),
    "denials_per_second": ("拒绝供电次数", "Denials"),
    "on_battery": ("电池供电", "On battery"),
    "on_battery_seconds": ("电池供电时间", "Time on battery"),
    "charge_percent": ("电量", "Charge"),
    "runtime_seconds": ("续航时间", "Runtime left"),
    "battery_volts": ("电池电压", "Battery voltage"),
    "battery_celsius": ("电池温度", "Battery temperature"),
    "battery_status": ("电池状态", "Battery status"),
    "battery_replace": ("需更换电池", "Battery to be replaced"),
    "battery_packs_bad": ("故障电池组", "Bad battery packs"),
    "transfer_code": ("转电池原因码", "Transfer cause (code)"),
    "test_status": ("自检结果", "Self-test"),
    "alarms": ("告警数", "Alarms"),
    "volts": ("电压", "Voltage"),
    "amperes": ("电流", "Current"),
    "hertz": ("频率", "Frequency"),
    "watts": ("功率", "Power"),
    "load_percent": ("负载", "Load"),
    "speed_rpm": ("转速", "Speed"),
    "recording": ("正在录像", "Recording"),
    "video_loss": ("视频丢失", "Video loss"),
    "recorded_seconds": ("已录时长", "Recorded"),
    "running": ("运行中", "Running"),
    "restarts": ("重启次数", "Restarts"),
    "spool_records": ("队列记录数", "Records in the spool"),
    "spool_bytes": ("队列大小", "Spool size"),
    "resident_bytes": ("内存占用", "Resident memory"),
    "poll_lag_seconds": ("采集延迟", "Poll lag"),
    "devices": ("设备数", "Devices"),
    "devices_down": ("无应答设备", "Devices down"),
    "polls_per_second": ("采集频率", "Polls"),
    "certificate_left_seconds": ("证书剩余有效期", "Certificate valid for"),
    "certificate_accepted": ("证书可信", "Certificate accepted"),
    "stream": ("视频流存在", "Stream there"),
}


INVENTORY: dict[str, tuple[str, str]] = {
    "name": ("名称", "Name"),
    "vendor": ("厂商", "Vendor"),
    "model": ("型号", "Model"),
    "serial": ("序列号", "Serial number"),
    "firmware": ("固件", "Firmware"),
    "hardware": ("硬件版本", "Hardware"),
    "connected_ups": ("所接 UPS", "Connected UPS"),
    "mac": ("MAC 地址", "MAC address"),
    "address": ("地址", "Address"),
    "system": ("系统", "System"),
    "description": ("设备描述", "Description"),
    "location": ("位置", "Location"),
    "matched": ("配置匹配依据", "Profile chosen because"),
    "poe_port": ("PoE 端口", "PoE port"),
    "switch_found_by": ("所接端口得自", "Port known by"),
    "neighbours": ("端口所接设备", "Behind its ports"),
}
"""In the order of screens. Agents may send more: those stand under their own name."""


def inventory_label(name: str, say: Say) -> str:
    """What a line of an inventory is called."""
    return _one(INVENTORY, name, say)


def inventory_rank(name: str) -> tuple[int, str]:
    """Where a line of an inventory stands: those with a label in their order, then the rest by name."""
    return list(INVENTORY).index(name) if name in INVENTORY else len(INVENTORY), name


def inventory_text(name: str, text: str) -> str:
    """A line of an inventory for people: of a switch's neighbours who or how many stand behind each port."""
    if name != "neighbours":
        return text
    try:
        found = msgspec.json.decode(text, type=list[dict[str, str | int | bool]])
    except msgspec.DecodeError:
        return text
    ports: dict[str, list[str]] = {}
    for each in found:
        who = each.get("name") or each.get("mac") or f"({each.get('many', '?')})"
        ports.setdefault(str(each.get("port", "")), []).append(str(who))
    return "; ".join(f"{port}: {', '.join(there)}" for port, there in ports.items())


def table_label(table: str, say: Say) -> str:
    """A table's name for people; the word itself when it has none."""
    return _one(TABLES, table, say)


def field_label(field: str, say: Say) -> str:
    """A field's name for people; the word itself when it has none."""
    return _one(FIELDS, field, say)


def _one(labels: dict[str, tuple[str, str]], word: str, say: Say) -> str:
    return labels.get(word, (word, word))[0 if say.language == "zh" else 1]
