-- migrate:up

-- What application code wrote in transactions of its own, for the owner of the partition to carry out: starts, messages
-- to instances, and messages to channels. A row only, with nothing for others to wait for.
-- kind: start, send or publish. key: of a start the instance's id, else what makes it one.
create table perdure_letters (
  id          bigint generated always as identity primary key,
  service     text collate "C" not null,
  "partition" integer          not null,
  kind        text collate "C" not null,
  key         text collate "C" not null,
  body        json             not null,
  at          timestamptz      not null
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

create index perdure_letters_partition on perdure_letters (service, "partition", id);
create index perdure_letters_start on perdure_letters (service, key) where kind = 'start';

-- migrate:down

drop table perdure_letters;
