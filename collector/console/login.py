"""The login page: a form of its own, without a line of what lies behind the door."""

from __future__ import annotations

from html import escape

from collector.console.words import LANGUAGES, Say

_STYLE = """
:root{--page:#f4f6f8;--card:#fff;--ink:#1c2733;--soft:#5c6b7a;--line:#d5dce4;--deed:#1f5fa8;--bad:#b3261e;--do:#1f5fa8}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){--page:#12171d;--card:#1a2129;--ink:#dfe6ee;
--soft:#93a1b0;--line:#333f4b;--deed:#78aef0;--bad:#ff8a80}}
:root[data-theme=dark]{--page:#12171d;--card:#1a2129;--ink:#dfe6ee;--soft:#93a1b0;--line:#333f4b;--deed:#78aef0;
--bad:#ff8a80}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--page);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans CJK SC","Microsoft YaHei",sans-serif}
main{width:min(26rem,calc(100vw - 2rem));background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:1.75rem}h1{margin:0 0 .25rem;font-size:1.3rem}p{margin:.25rem 0 1rem;color:var(--soft)}
label{display:block;font-weight:600;margin-bottom:.35rem}input{width:100%;padding:.6rem .7rem;font:inherit;
color:inherit;background:var(--page);border:1px solid var(--line);border-radius:6px}
button{margin-top:1rem;width:100%;padding:.65rem;font:inherit;font-weight:600;color:#fff;background:var(--do);
border:0;border-radius:6px;cursor:pointer}a{color:var(--deed)}.bad{color:var(--bad);font-weight:600}
code{font-size:.9em;overflow-wrap:anywhere}input:focus-visible,button:focus-visible{outline:2px solid var(--deed);
outline-offset:2px}
"""
_KEEP = "document.cookie='forewarn_language={};path=/;max-age=31536000;samesite=lax'"
_ZONE = "document.cookie='forewarn_zone='+Intl.DateTimeFormat().resolvedOptions().timeZone+';path=/;max-age=31536000;samesite=lax'"


def page(say: Say, theme: str, *, refused: bool = False) -> str:
    """The page as HTML.

    Args:
        say: the words of the visitor's language.
        theme: auto, light or dark.
        refused: whether a token was given that nobody has.
    """
    wrong = f'<p class="bad" role="alert">{escape(say("login_refused"))}</p>' if refused else ""
    languages = " · ".join(
        f'<a href="" onclick="{escape(_KEEP.format(language))}">{name}</a>' for language, name in LANGUAGES.items()
    )
    command = "<code>forewarn collector add-token NAME</code>"
    return f"""<!doctype html>
<html lang="{say.tag}" data-theme="{theme}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(say("login"))} · forewarn</title>
<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body><main><h1>forewarn</h1>
<p>{escape(say("login_what"))}</p>{wrong}<form method="post">
<label for="token">{escape(say("login_token"))}</label>
<input name="actor" autocomplete="username" hidden>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">{escape(say("login"))}</button></form>
<p style="margin:1rem 0 0">{escape(say("login_where"))} {command}</p>
<p style="margin:.75rem 0 0">{languages}</p></main><script>{_ZONE}</script></body></html>"""
