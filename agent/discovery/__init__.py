"""Who is in the networks of the consent: found, matched and proposed, never polled."""
