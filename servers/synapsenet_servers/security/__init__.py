"""Who calls, and what they may: certificates, identities, tokens and scopes."""
