# Completion of mosquitto_db_dump for fish. Made from scripts/completions.ts by `npm run generate`.
complete -c mosquitto_db_dump -n __fish_is_first_arg -l stats -d 'Count the records'
complete -c mosquitto_db_dump -n __fish_is_first_arg -l client-stats -d 'Count subscriptions and messages of each client'
complete -c mosquitto_db_dump -n __fish_is_first_arg -l json -d 'Print everything as JSON'
complete -c mosquitto_db_dump -n __fish_is_first_arg -l help -d 'Print the usage'
