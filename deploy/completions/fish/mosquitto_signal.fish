# Completion of mosquitto_signal for fish. Made from scripts/completions.ts by `npm run generate`.
complete -c mosquitto_signal -f -a 'config-reload log-rotate shutdown tree-print xtreport'
complete -c mosquitto_signal -n __fish_is_first_arg -s a -d 'Signal all brokers on this machine'
complete -c mosquitto_signal -n __fish_is_first_arg -s p -d 'Signal the process with this id'
complete -c mosquitto_signal -n __fish_is_first_arg -l help -d 'Print the usage'
