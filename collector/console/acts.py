"""What a person does to a ticket: one button an act that its standing allows, one dialog for what is to be said.

Every act is done in the name behind the session, looked up again at that moment.
"""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from collector.console.judging import reasons
from collector.console.visit import LoggedOut, Unanswered, Visit
from collector.tickets.lifecycle import Act, Refusal, Standing, judge
from collector.tickets.ticket import NotAllowed, Ticket, TicketError

_ICONS = {
    Act.ACKNOWLEDGE: "visibility",
    Act.ASSIGN: "person_add",
    Act.COMMENT: "chat_bubble_outline",
    Act.RESOLVE: "check_circle_outline",
    Act.CLOSE: "archive",
    Act.REOPEN: "undo",
    Act.MARK_FALSE: "notifications_off",
    Act.UNMARK_FALSE: "notifications_active",
}
_REFUSED = {
    Refusal.ALREADY_ACKNOWLEDGED: "refused_already_acknowledged",
    Refusal.ALREADY_RESOLVED: "refused_already_resolved",
    Refusal.ALREADY_ASSIGNED: "refused_already_assigned",
    Refusal.CLOSED: "refused_closed",
    Refusal.NOT_ENDED: "refused_not_ended",
    Refusal.SAYS_NOTHING: "refused_says_nothing",
    Refusal.STILL_HOLDS: "refused_still_holds",
    Refusal.ANOTHER_OPEN: "refused_another_open",
    Refusal.BY_HAND: "refused_by_hand",
    Refusal.ALREADY_FALSE: "refused_already_false",
    Refusal.NOT_FALSE: "refused_not_false",
}


def buttons(visit: Visit, ticket: Ticket) -> None:
    """A button for every act that is possible now."""
    standing = Standing(
        ticket.state,
        ticket.severity,
        ticket.holds,
        acknowledged_by=ticket.acknowledged_by,
        by_hand=not ticket.rule,
        false_alarm=ticket.false_at is not None,
    )
    for act in Act:
        # Only what a text could not mend keeps a button away: the dialog asks for the text.
        if isinstance(judge(standing, act, "text"), Refusal):
            continue
        first = act is Act.ACKNOWLEDGE
        colour = "primary" if first else None
        button = ui.button(visit.say(f"act_{act.value}"), icon=_ICONS[act], color=colour).props("no-caps dense")
        button.props("unelevated" if first else "outline").classes("px-3" if first else "px-3 fw-deed").mark(
            f"act-{act.value}"
        )
        if first:
            button.on_click(lambda act=act: _do(visit, ticket, act, ""))
        else:
            button.on_click(_dialog(visit, ticket, act))


def _dialog(visit: Visit, ticket: Ticket, act: Act) -> Callable[[], None]:
    say = visit.say
    title = say(f"act_{act.value}")
    with (
        ui.dialog().props(f'aria-label="{title}"') as dialog,
        ui.card().classes("fw-card").style("width:min(32rem,92vw)"),
    ):
        ui.label(title).classes("fw-title")
        label = say(f"ask_{act.value}")
        whole = reasons(say) if act is Act.MARK_FALSE else str
        text = ui.input(label) if act is Act.ASSIGN else ui.textarea(label).props("autogrow")
        text.props(f"outlined dense autofocus maxlength={200 if act is Act.ASSIGN else 8000}").classes("w-full")

        async def confirmed(said: str | None = None) -> None:
            if await _do(visit, ticket, act, whole(text.value or "") if said is None else said):
                dialog.close()

        with ui.row().classes("w-full justify-end gap-2"):
            if act is Act.ASSIGN and ticket.assignee != visit.actor:
                ui.button(say("to_me"), on_click=lambda: confirmed(visit.actor), color=None).props("flat no-caps dense")
            ui.button(say("cancel"), on_click=dialog.close, color=None).props("flat no-caps dense")
            done = ui.button(say(f"act_{act.value}"), on_click=lambda: confirmed(None))
            done.props("unelevated no-caps dense").classes("px-3 fw-confirm")

    def ask() -> None:
        dialog.open()

    return ask


async def _do(visit: Visit, ticket: Ticket, act: Act, said: str) -> bool:
    """Does an act and shows the ticket anew; says why where it cannot be done."""
    say = visit.say
    try:
        actor = await visit.acting()
        await visit.ask(lambda: _act(visit, ticket.id, act, actor, said.strip()))
    except NotAllowed as wrong:
        ui.notify(say(_REFUSED[wrong.refusal]), type="warning")
    except (TicketError, Unanswered) as wrong:
        ui.notify(str(wrong), type="negative")
    except LoggedOut:
        ui.notify(say("logged_out"), type="negative")
    else:
        ui.notify(say("done"), type="positive")
        ui.navigate.reload()
        return True
    return False


def _act(visit: Visit, id_: str, act: Act, actor: str, said: str) -> Ticket:
    book = visit.parts.tickets
    if act is Act.ACKNOWLEDGE:
        return book.acknowledge(id_, actor, said)
    acts: dict[Act, Callable[[str, str, str], Ticket]] = {
        Act.ASSIGN: book.assign,
        Act.COMMENT: book.comment,
        Act.RESOLVE: book.resolve,
        Act.CLOSE: book.close,
        Act.REOPEN: book.reopen,
        Act.MARK_FALSE: book.mark_false,
        Act.UNMARK_FALSE: book.unmark_false,
    }
    return acts[act](id_, actor, said)
