-- migrate:up

-- What the compensations of an instance have come to: JSON text. Null: there are none.
set @perdure_ddl = if(
  exists (select 1 from information_schema.columns
    where table_schema = database() and table_name = 'perdure_instances' and column_name = 'undo'),
  'do 0',
  'alter table perdure_instances add column `undo` longtext');
prepare perdure_ddl from @perdure_ddl;
execute perdure_ddl;
deallocate prepare perdure_ddl;

-- Events for the world outside, until a relay has handed them to a broker, and for a while after that. Those of one
-- lane go out in order; the partition follows from the lane. status: pending, published or dead.
-- due_at: when it may be tried again, in microseconds since 1970; 0: it has not been tried.
-- With the status in front, what is pending is found as fast however much has been published.
create table if not exists perdure_outbox (
  number      bigint          not null auto_increment primary key,
  service     varbinary(255)  not null,
  id          varbinary(1024) not null,
  lane        varbinary(1024) not null,
  `partition` bigint          not null,
  status      varbinary(32)   not null,
  data        longtext        not null,
  attempts    bigint          not null,
  due_at      bigint          not null,
  error       longtext,
  created_at  datetime(6)     not null,
  settled_at  datetime(6),
  index perdure_outbox_due (status, service, `partition`, due_at, number),
  index perdure_outbox_lane (status, service, lane, due_at, number),
  index perdure_outbox_recent (status, service, number),
  index perdure_outbox_id (status, service, id),
  index perdure_outbox_settled (status, service, settled_at)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- migrate:down

drop table if exists perdure_outbox;

set @perdure_ddl = if(
  exists (select 1 from information_schema.columns
    where table_schema = database() and table_name = 'perdure_instances' and column_name = 'undo'),
  'alter table perdure_instances drop column `undo`',
  'do 0');
prepare perdure_ddl from @perdure_ddl;
execute perdure_ddl;
deallocate prepare perdure_ddl;
