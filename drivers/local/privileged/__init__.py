"""Local machines for ordinary users: what needs root is done by one small program, which sudo(8) runs.

`client` starts that program, once in a process, and calls it; `proxy` is the driver that users without root get.
`helper` is the program: `requests` says which operations there are and what their arguments may be, `rights` what the
caller may touch, `work` does it. `wire` is how the two talk: JSON lines over standard input and output.

Records, keys and certificates stay on the user's side: the helper sees a public key, and asks for what is to be noted.
"""
