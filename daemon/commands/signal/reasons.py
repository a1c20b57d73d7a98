"""Why a signal ended as it did: a sentence for each reason of the vocabulary."""

from __future__ import annotations

SENTENCES = {
    # alerts, by what they meant for their key
    "open": "the thing was not known, or had ended before",
    "open_ended": "its end came first, so the record was opened as resolved",
    "refresh": "the same episode, described anew",
    "resolve": "the episode ended",
    "remember": "the end of an episode that was never seen to begin; a late beginning will find it",
    "advance": "the end of a newer episode that was never seen to begin, of a thing that has ended",
    "refire": "a new episode of a known thing",
    "acknowledge": "a machine said that somebody has it",
    "late": "newer news of the same thing were known already",
    "unmatched": "it speaks of nothing that is known",
    "ignored": "its source says what the desk does not act on",
    "unreadable_item": "this item of the payload could not be read; the others were taken",
    # mails
    "reply_address": "it was sent to the reply address of this record",
    "our_message_id": "it answers a mail of this desk",
    "known_message_id": "it answers a mail that is on this record",
    "subject_tag": "its subject names this record, and the sender takes part in it",
    "unreadable_before": "it could not be read at first, and this record was opened for it",
    "other_desk_address": "it is a copy that went to another address of this desk",
    "not_a_participant": "its subject names a record that the sender takes no part in, so the two are only linked",
    "subject_changed": "it answers a known mail under another subject, so the two are only linked",
    "same_mail": "the same mail came before",
    "too_many_hops": "it passed too many mail servers: it goes in circles",
    "own_message": "it is a mail of this desk that came back",
    "spam_mark": "a trusted mail server marked it as spam",
    "unknown_sender": "this address takes no mail from unknown senders",
    "bounce": "it reports on a mail of this record",
    "bounce_of_unknown_mail": "it reports on a mail that this desk did not send",
}


def sentence_of(reason: str | None, disposition: str | None) -> str:
    """The sentence for a reason; a mail without one opened a record of its own."""
    if reason is None:
        return "it belongs to no known record" if disposition == "opened" else ""
    return SENTENCES.get(reason, reason)
