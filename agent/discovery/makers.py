"""Who made a network card, of those who make surveillance equipment: by the first half of its MAC address.

Source: the IEEE registry of MA-L assignments, facts only; Bosch's VCS and Hanwha's Samsung Techwin by their old names.
A maker that others build into their own devices (OEM) shows as itself.

Errors: none.
"""

from __future__ import annotations

from agent.polling.neighbours import plain_mac

_ASSIGNED = {
    "Hikvision": (
        "040312 085411 08a189 08cc81 0c75d2 1012fb 1868cb 188025 240f9b 2428fd 2432ae 244845 24b105 2857be "
        "2ca59c 340962 3c1bf8 40acbf 4419b6 4447cc 44a642 4c62df 4cbd8f 4cf5dc 50e538 548c81 54c415 5803fb "
        "5850ed 5c345b 64db8b 686dbc 743fc2 807c62 80beaf 80f5ae 849a40 8ce748 94e1ac 988b0a 989de5 98df82 "
        "98f112 a0ff0c a41437 a4d5c2 acb92f accb51 b4a382 bc5e33 bc9b5e bcad28 bcbac2 c0517e c056e3 c06ded "
        "c42f90 d4e853 dc07f8 dcd26a e0baad e0ca3c e0df13 e8a0ed eca971 ecc89c f84dfc fc9ffd"
    ),
    "Dahua": (
        "08eded 14a78b 24526a 38af29 3ce36b 3cef8c 4c11bf 5cf51a 64fd29 6c1c71 74c929 8ce9b4 9002a9 98f9cc "
        "9c1463 a0bd1d b44c3b bc325f c0395a c4aac4 d4430e e02efe e0508b e4246c f4b1c2 f8ce07 fc5f49 fcb69d"
    ),
    "Uniview": "48ea63 6cf17e c47905",
    "Axis": "00408c accc8e b8a44f e82725",
    "Hanwha": "000918 e43022",
    "Vivotek": "0002d1",
    "Mobotix": "0003c5",
    "Tiandy": "3cda6d e4e66c",
    "Bosch": "000131 000463 00075f 001c44 a41894",
    "GeoVision": "0013e2",
    "Intelbras": "001a3f 180d2c 24fd0d 30e1f1 443b32 4851cf 58108c 808544 808fe8 b87ee5 d8365f d8778b",
}
_MAKERS = {prefix: maker for maker, prefixes in _ASSIGNED.items() for prefix in prefixes.split()}
_PREFIX = 6


def maker(mac: str) -> str:
    """The maker's name; empty for others, and for what is no MAC address."""
    return _MAKERS.get(plain_mac(mac)[:_PREFIX], "")
