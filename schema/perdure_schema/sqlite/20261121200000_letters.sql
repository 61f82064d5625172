-- migrate:up

-- What application code wrote in transactions of its own, for the owner of the partition to carry out: starts, messages
-- to instances, and messages to channels. A row only, with nothing for others to wait for.
-- kind: start, send or publish. key: of a start the instance's id, else what makes it one.
create table perdure_letters (
  id          integer primary key autoincrement,
  service     text    not null,
  "partition" integer not null,
  kind        text    not null,
  key         text    not null,
  body        text    not null,
  at          integer not null
) strict;

create index perdure_letters_partition on perdure_letters (service, "partition", id);
create index perdure_letters_start on perdure_letters (service, key) where kind = 'start';

-- migrate:down

drop table perdure_letters;
