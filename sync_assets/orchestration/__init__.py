"""The Dagster side: assets, checks, jobs and schedules made from the declarations. Only this folder imports Dagster."""
