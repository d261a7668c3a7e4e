"""The few questions of ONVIF that we ask, as SOAP 1.2, and what the answers say.

Written by hand: the libraries for ONVIF stand on zeep and lxml, read the service's own description at start, and cost
forty megabytes for five questions that only read. Not one of them changes anything.

Sources: ONVIF Core Specification (device service), Media Service Specification; WS-Security UsernameToken Profile 1.0,
PasswordDigest: Base64(SHA-1(nonce + created + password)).

Errors:
    agent.web.Denied    user or password refused
    agent.web.Garbled   what answers is no ONVIF service
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from datetime import UTC, datetime
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from agent.settings.login import Password
from agent.web.client import Answer, Denied, Garbled
from agent.web.xmltext import Unreadable, read

DEVICE, MEDIA = "/onvif/device_service", "/onvif/media_service"
KIND = "application/soap+xml; charset=utf-8"
QUESTIONS = {
    "GetSystemDateAndTime": "device",
    "GetDeviceInformation": "device",
    "GetNetworkInterfaces": "device",
    "GetCapabilities": "device",
    "GetProfiles": "media",
}
"""All we ask, and of which service."""
_SERVICES = {
    "device": "http://www.onvif.org/ver10/device/wsdl",
    "media": "http://www.onvif.org/ver10/media/wsdl",
}
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_SECURITY = f"{_WSS}wssecurity-"
_TOKEN = f"{_WSS}username-token-profile-1.0"
_LONGEST = 256
_REFUSED = (401, 403)
_SERVICE_PATH = re.compile(r"onvif/[\w./-]+", re.ASCII | re.IGNORECASE)


def envelope(question: str, password: Password | None, now: float) -> bytes:
    """The message that asks one of `QUESTIONS`.

    Args:
        question: its name.
        password: None for a question that anybody may ask.
        now: Unix seconds by the device's own clock, which refuses what it takes for a replay.
    """
    service = _SERVICES[QUESTIONS[question]]
    inner = "<w:Category>Media</w:Category>" if question == "GetCapabilities" else ""
    head = f"<s:Header>{_token(password, now)}</s:Header>" if password is not None else ""
    body = f'<s:Body><w:{question} xmlns:w="{service}">{inner}</w:{question}></s:Body>'
    return f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_ENVELOPE}">{head}{body}</s:Envelope>'.encode()


def _token(password: Password, now: float) -> str:
    nonce = secrets.token_bytes(16)
    created = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = nonce + created.encode() + password.secret.encode()
    digest = base64.b64encode(hashlib.sha1(whole, usedforsecurity=False).digest()).decode()
    return (
        f'<o:Security xmlns:o="{_SECURITY}secext-1.0.xsd" xmlns:u="{_SECURITY}utility-1.0.xsd" s:mustUnderstand="1">'
        f"<o:UsernameToken><o:Username>{escape(password.user)}</o:Username>"
        f'<o:Password Type="{_TOKEN}#PasswordDigest">{digest}</o:Password>'
        f"<o:Nonce>{base64.b64encode(nonce).decode()}</o:Nonce><u:Created>{created}</u:Created>"
        f"</o:UsernameToken></o:Security>"
    )


def opened(answer: Answer, question: str) -> Element:
    """The answer to a question.

    Raises:
        Denied, Garbled: see above.
    """
    try:
        root = read(answer.body)
    except Unreadable as wrong:
        if answer.status in _REFUSED:  # By HTTP, in words that are no SOAP.
            raise Denied("credentials refused") from None
        raise Garbled(f"no ONVIF service: HTTP status {answer.status}, {wrong}") from None
    fault = root.find(".//fault")
    if fault is not None:
        said = " ".join(" ".join(fault.itertext()).split())[:_LONGEST]
        if "notauthorized" in said.casefold().replace(" ", "") or "failedauthentication" in said.casefold():
            raise Denied("credentials refused")
        raise Garbled(f"{question} fails: {said}")
    found = root.find(f".//{question.lower()}response")
    if found is None:
        raise Garbled(f"no ONVIF service: HTTP status {answer.status}, no answer to {question}")
    return found


def clock(found: Element) -> float | None:
    """Unix seconds that the device shows (GetSystemDateAndTime); None where it tells none."""
    numbers = [text(found, f".//utcdatetime/{part}") for part in ("date/year", "date/month", "date/day")]
    numbers += [text(found, f".//utcdatetime/time/{part}") for part in ("hour", "minute", "second")]
    try:
        year, month, day, hour, minute, second = (int(number) for number in numbers)
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def told(found: Element) -> dict[str, str]:
    """Texts of an inventory (GetDeviceInformation); none empty."""
    names = {"vendor": "manufacturer", "model": "model", "firmware": "firmwareversion", "serial": "serialnumber"}
    return {word: words for word, name in names.items() if (words := text(found, name))}


def mac(found: Element) -> str:
    """The first hardware address (GetNetworkInterfaces); "" where there is none."""
    return text(found, ".//hwaddress").replace("-", ":").lower()


def media_path(found: Element) -> str:
    """The path of the media service (GetCapabilities): whatever host it names, we ask the device's own address.

    Only one under `/onvif/` counts: who answers in the device's place must not choose what we say its password to.
    """
    whole = text(found, ".//media/xaddr")
    path = whole.partition("://")[2].partition("/")[2] if "://" in whole else ""
    return f"/{path}" if _SERVICE_PATH.fullmatch(path) and ".." not in path else MEDIA


def streams(found: Element) -> str:
    """How the picture is coded (GetProfiles): codec and size of each profile, once each; "" where none tells."""
    names = []
    for coder in found.iterfind("./profiles/videoencoderconfiguration"):
        size = "x".join(part for part in (text(coder, "resolution/width"), text(coder, "resolution/height")) if part)
        names.append(" ".join(part for part in (text(coder, "encoding"), size) if part))
    return ", ".join(dict.fromkeys(name for name in names if name))[:_LONGEST]


def text(found: Element, path: str) -> str:
    """The text at a path; "" where there is none."""
    there = found.find(path)
    return (there.text or "").strip()[:_LONGEST] if there is not None else ""
