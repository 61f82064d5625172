-- migrate:up

-- For MySQL 8.0 or newer and MariaDB 10.6 or newer. DDL is not transactional there: each statement
-- can be run again after a failure in the middle.
-- Times are UTC.
-- Names and ids are UTF-8 in VARBINARY: any collation would take 'a' for 'A' or for 'a '.
-- Payloads are JSON text, stored byte for byte as they were given. Nothing checks that they are JSON:
-- JSON_VALID refuses nesting of 32 levels on MariaDB, and on MySQL numbers that are no doubles.

-- The truth. Everything else here can be worked out from it.
-- (instance, run, seq) being the primary key is what keeps two writers apart.
create table if not exists perdure_events (
  service     varbinary(255)  not null,
  instance_id varbinary(255)  not null,
  run         bigint          not null,
  seq         bigint          not null,
  kind        varbinary(255)  not null,
  command     bigint,
  name        varbinary(2048) not null,
  at          datetime(6)     not null,
  commit_id   bigint          not null,
  data        longtext        not null,
  primary key (service, instance_id, run, seq)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- One row an instance: what its stream comes to.
-- wake_at: null = only a message can move it; 1970-01-01 = work is due now; before that = stuck,
-- for whoever takes it over to try again; else its earliest deadline.
create table if not exists perdure_instances (
  service          varbinary(255)  not null,
  id               varbinary(255)  not null,
  workflow         varbinary(2048) not null,
  version          varbinary(2048),
  `partition`      bigint          not null,
  run              bigint          not null,
  status           varbinary(32)   not null,
  wake_at          datetime(6),
  cancel_requested longtext,
  created_at       datetime(6)     not null,
  ended_at         datetime(6),
  error            longtext,
  primary key (service, id),
  index perdure_instances_due (service, `partition`, wake_at, id),
  index perdure_instances_recent (service, created_at, id),
  index perdure_instances_ended_badly (service, status, created_at, id)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- Requests of processes that do not own the instance; the owner takes them out as it acts on them.
create table if not exists perdure_inbox (
  id          bigint         not null auto_increment primary key,
  service     varbinary(255) not null,
  `partition` bigint         not null,
  instance_id varbinary(255) not null,
  kind        varbinary(32)  not null,
  data        longtext       not null,
  created_at  datetime(6)    not null,
  index perdure_inbox_partition (service, `partition`, id)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- Who writes. The epoch goes up with every change of owner; each commit checks it.
create table if not exists perdure_partitions (
  service     varbinary(255) not null,
  `partition` bigint         not null,
  owner       varbinary(255),
  epoch       bigint         not null,
  primary key (service, `partition`)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- One lease a worker process covers all its partitions; beats goes up with every renewal.
create table if not exists perdure_workers (
  service    varbinary(255) not null,
  id         varbinary(255) not null,
  beats      bigint         not null,
  expires_at datetime(6)    not null,
  workflows  longtext       not null,
  primary key (service, id)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- migrate:down

drop table if exists perdure_workers;
drop table if exists perdure_partitions;
drop table if exists perdure_inbox;
drop table if exists perdure_instances;
drop table if exists perdure_events;
