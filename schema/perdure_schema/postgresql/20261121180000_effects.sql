-- migrate:up

-- What the compensations of an instance have come to: JSON text. Null: there are none.
alter table perdure_instances add column undo json;

-- Events for the world outside, until a relay has handed them to a broker, and for a while after that. Those of one
-- lane go out in order; the partition follows from the lane. status: pending, published or dead.
-- due_at: when it may be tried again, in microseconds since 1970; 0: it has not been tried.
create table perdure_outbox (
  number      bigint generated always as identity primary key,
  service     text collate "C" not null,
  id          text collate "C" not null,
  lane        text collate "C" not null,
  "partition" integer          not null,
  status      text collate "C" not null,
  data        json             not null,
  attempts    integer          not null,
  due_at      bigint           not null,
  error       text,
  created_at  timestamptz      not null,
  settled_at  timestamptz
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

create index perdure_outbox_due on perdure_outbox (service, "partition", due_at, number) where status = 'pending';
-- A lane waits behind those of its parcels that have failed.
create index perdure_outbox_failed on perdure_outbox (service, lane, number) where status = 'pending' and due_at > 0;
create index perdure_outbox_status on perdure_outbox (service, status, number);
create index perdure_outbox_dead on perdure_outbox (service, id) where status = 'dead';
create index perdure_outbox_published on perdure_outbox (service, settled_at) where status = 'published';

-- migrate:down

drop table perdure_outbox;
alter table perdure_instances drop column undo;
