"""`python -m demo`: the echo example under five web servers, talked to and measured."""
