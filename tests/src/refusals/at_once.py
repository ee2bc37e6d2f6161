
# Starts a program under a filter: SECCOMP ACTION RULES PROGRAM ARGUMENT...
#
# RULES have commas in between, and colons between the number of a call, and the index and value of an argument.

rules = [[int(word) for word in rule.split(":")] for rule in sys.argv[3].split(",")]
install(int(sys.argv[1]), int(sys.argv[2]), rules)
os.execvp(sys.argv[4], sys.argv[4:])
